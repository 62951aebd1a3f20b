from tests.prediction.conftest import bright, saved_model  # noqa: F401
