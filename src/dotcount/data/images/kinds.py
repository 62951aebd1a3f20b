"""Which files are images by their names, and which are images or videos that can't be read here."""

from __future__ import annotations

from pathlib import Path

SUFFIXES = frozenset(
    (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".tif", ".tiff", ".bmp", ".webp", ".gif")
    + (".ppm", ".pgm", ".pnm", ".jp2", ".avif")
    + (".nd2", ".czi", ".lif", ".lof", ".dcm", ".dicom", ".svs")
)

_MICROSCOPE = "a microscope's own format; export it as TIFF or OME-TIFF, in Fiji with File > Save As"
_SLIDE = "a slide scanner's format; export the region of interest as TIFF, for example with QuPath"
_RAW = "a camera's raw format; develop it to JPEG or 16-bit TIFF with the camera's software or darktable"
_PHONE = "a phone's format; export it as JPEG, or set the phone to the most compatible format"
_VIDEO = "a video; export the frames as PNG, for example with `ffmpeg -i FILE frames/%05d.png`"
_DRAWING = "a drawing or document, which has no pixels; export it as PNG"
_LAYERS = "a project of an image editor; export it as PNG or TIFF"
_MEDICAL = "a medical format; export it as PNG or TIFF, for example with Fiji"
_ARRAY = "an array, not an image file; save it as TIFF, for example with tifffile.imwrite"
_GRID = "a grid of a GIS program; export it as GeoTIFF, for example with `gdal_translate FILE out.tif`"
_OTHER = "an image format that is not read here; convert it to PNG or TIFF"

_UNREADABLE = {
    _MICROSCOPE: "lsm oib oif vsi zvi stk ics ids ims mrxs dv r3d sld flex xlef ome.zarr zarr",
    _SLIDE: "ndpi scn bif vms vmu mirax isyntax qptiff",
    _RAW: "raw cr2 cr3 crw nef nrw arw sr2 raf orf rw2 pef srw dng 3fr iiq x3f",
    _PHONE: "heic heif hif",
    _VIDEO: "mp4 m4v avi mov mkv webm wmv flv mpg mpeg mts m2ts 3gp",
    _DRAWING: "eps ps pdf svg svgz ai wmf emf",
    _LAYERS: "psd psb xcf kra clip afphoto",
    _MEDICAL: "ima nii mha mhd nrrd mrc",
    _GRID: "ecw sid img jpx vrt hgt asc bil",
    _ARRAY: "npy npz",
    _OTHER: "jxl jxr jls j2k j2c jpc tga pcx ico icns exr hdr pfm pbm sgi rgb qoi dds fits fit apng",
}
_REMEDIES = {f".{suffix}": remedy for remedy, suffixes in _UNREADABLE.items() for suffix in suffixes.split()}


_CONTENTS = (
    (b"version https://git-lfs", "a pointer of Git LFS, not the image itself; fetch it with `git lfs pull`"),
    (b"%!PS", _DRAWING),
    (b"\xc5\xd0\xd3\xc6", _DRAWING),
    (b"%PDF", _DRAWING),
    (b"<svg", _DRAWING),
    (b"8BPS", _LAYERS),
    (b"\x93NUMPY", _ARRAY),
    (b"SIMPLE  =", _OTHER),
    (b"<!DOCTYPE html", "a web page, not an image; download the image itself"),
    (b"<html", "a web page, not an image; download the image itself"),
)
_BRANDS = {
    b"hei": _PHONE,
    b"hev": _PHONE,
    b"mif1": _PHONE,
    b"crx": _RAW,
    b"isom": _VIDEO,
    b"mp4": _VIDEO,
    b"qt": _VIDEO,
}


def unreadable_content(start: bytes) -> str | None:
    """Return what a file is by its first bytes, whatever its name says; ``None`` if that can't be seen.

    Examples
    --------
    >>> unreadable_content(b"%PDF-1.4")
    'a drawing or document, which has no pixels; export it as PNG'
    """
    known = next((what for head, what in _CONTENTS if start.lstrip().lower().startswith(head.lower())), None)
    if known is None and start[4:8] == b"ftyp":
        known = next((what for brand, what in _BRANDS.items() if start[8:12].startswith(brand)), None)
    if known is None and start and all(32 <= byte < 127 or byte in b"\t\r\n" for byte in start):
        return "text, not an image; replace it"
    return known


def is_image(path: Path) -> bool:
    """Return whether the name ends like an image file's (hidden files do not count)."""
    return path.suffix.lower() in SUFFIXES and not path.name.startswith(".")


def unreadable_kind(path: str | Path) -> str | None:
    """Return what a file is and the way out where its name is that of an image or video that can't be read here.

    ``None``: an image that can be read, or no image at all. The file isn't opened.

    Examples
    --------
    >>> unreadable_kind("IMG_0001.HEIC")
    "a phone's format; export it as JPEG, or set the phone to the most compatible format"
    >>> unreadable_kind("photo.jpg") is None
    True
    """
    path = Path(path)
    return None if path.name.startswith(".") else _REMEDIES.get(path.suffix.lower())
