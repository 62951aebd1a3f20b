"""Small files of microscopes and medical instruments, written byte by byte, for readers that have no writers.

Their layouts are those that the packages nd2, czifile and liffile read.
"""

from __future__ import annotations

import struct
import zlib

import imagecodecs
import numpy as np

ND2_MAGIC = 0x0ABECEDA


def scene(shape, seed=0, dtype=np.uint16):
    """Return values that differ in every plane, row and column."""
    values = np.random.default_rng(seed).integers(0, np.iinfo(dtype).max, shape)
    return values.astype(dtype)


# Nikon


def write_nd2(path, values, axes="", *, um=None, colours=False, lossless=False, cut=0):
    """Write (*axes, C, Y, X) values, of colours (*axes, Y, X, 3); axes of the letters T, P and Z."""
    lead = values.shape[: len(axes)]
    frames = values.reshape(-1, *values.shape[len(axes) :])
    frames = frames if colours else np.moveaxis(frames, 1, -1)  # pixels hold their channels side by side
    number, height, width, components = frames.shape
    planes = {f"a{k}": {"sDescription": f"channel {k}", "uiCompCount": components if colours else 1} for k in range(1)}
    band = {"uiCount": 1, "pPoint": {"Point0": {"dTValue": 1.0, "dWavelength": 500.0, "eType": 4}}}
    probe = {"m_ExcitationSpectrum": band, "m_EmissionSpectrum": band}
    if not colours:
        planes = {
            f"a{k}": {"sDescription": f"channel {k}", "uiCompCount": 1, "pFluorescentProbe": probe}
            for k in range(components)
        }
    attributes = {
        "uiWidth": width, "uiHeight": height, "uiWidthBytes": width * components * values.itemsize,
        "uiComp": components, "uiBpcInMemory": 8 * values.itemsize, "uiBpcSignificant": 8 * values.itemsize,
        "uiSequenceCount": number, "eCompression": 0 if lossless else 2,
    }  # fmt: skip
    metadata = {
        "bCalibrated": um is not None, "dCalibration": float(um or 1.0),
        "sPicturePlanes": {"uiCount": len(planes), "sPlaneNew": planes},
    }  # fmt: skip
    chunks = {
        b"ImageAttributesLV!": _clx({"SLxImageAttributes": attributes}),
        b"ImageMetadataSeqLV|0!": _clx({"SLxPictureMetadata": metadata}),
    }
    if axes:
        chunks[b"ImageMetadataLV!"] = _clx({"SLxExperiment": _loops(axes, lead)})
    out = bytearray(struct.pack("<IIQ32s64s", ND2_MAGIC, 32, 64, b"ND2 FILE SIGNATURE CHUNK NAME01!", b"Ver3.0"))
    places = {}
    for k, frame in enumerate(frames):
        data = np.ascontiguousarray(frame).tobytes()
        places[f"ImageDataSeq|{k}!".encode()] = len(out)
        out += _chunk(f"ImageDataSeq|{k}!".encode(), bytes(8) + (zlib.compress(data) if lossless else data), 4072)
    for name, data in chunks.items():
        places[name] = len(out)
        out += _chunk(name, data, 32)
    for k in range(cut):
        del places[f"ImageDataSeq|{number - 1 - k}!".encode()]
    place = len(out)
    table = b"".join(name + struct.pack("<QQ", at, 0) for name, at in places.items())
    table += struct.pack("<32sQ", b"ND2 CHUNK MAP SIGNATURE 0000001!", place)
    path.write_bytes(bytes(out) + _chunk(b"ND2 FILEMAP SIGNATURE NAME 0001!", table, 32))
    return path


def _chunk(name, data, reserve):
    return struct.pack("<IIQ", ND2_MAGIC, reserve, len(data)) + name.ljust(reserve, b"\0") + data


def _loops(axes, lead):
    """Return nested loops, the first axis outermost."""
    count = lead[0]
    kind, params = {
        "T": (1, {"uiCount": count, "dStart": 0.0, "dPeriod": 1.0, "dDuration": 1.0}),
        "P": (2, {"uiCount": count, "Points": [{"dPosX": float(k), "dPosY": 0.0} for k in range(count)]}),
        "Z": (4, {"uiCount": count, "dZStep": 1.0, "dZLow": 0.0, "dZHigh": 1.0}),
    }[axes[0]]
    loop = {"eType": kind, "uLoopPars": params}
    return loop | ({"ppNextLevelEx": [_loops(axes[1:], lead[1:])]} if axes[1:] else {})


def _clx(values):
    return b"".join(_item(name, value) for name, value in values.items())


def _item(name, value):
    text = (name + "\0").encode("utf-16-le")

    def head(kind):
        return struct.pack("BB", kind, len(name) + 1) + text

    if isinstance(value, bool):
        return head(1) + struct.pack("<B", value)
    if isinstance(value, int):
        return head(3) + struct.pack("<I", value)
    if isinstance(value, float):
        return head(6) + struct.pack("<d", value)
    if isinstance(value, str):
        return head(8) + (value + "\0").encode("utf-16-le")
    items = [("", each) for each in value] if isinstance(value, list) else list(value.items())
    inner = b"".join(_item(key, each) for key, each in items)
    first = head(11)
    return first + struct.pack("<IQ", len(items), len(first) + 12 + len(inner)) + inner + bytes(8 * len(items))


# Zeiss

CZI_TYPES = {("u1", 1): 0, ("u2", 1): 1, ("f4", 1): 2, ("u1", 3): 3, ("u2", 3): 4}


def write_czi(path, tiles, *, um=None, compression=0):
    """Write tiles: dictionaries with `values`, (Y, X) or (Y, X, 3), and where they start along X, Y, C, Z, T, S, M.

    A tile with `reduced` is a copy of fewer pixels, as they stand for a pyramid.
    """
    out = bytearray(32 + 512)
    entries = []
    for tile in tiles:
        entry, data = _czi_tile(tile, len(out), compression)
        entries.append(entry)
        body = struct.pack("<iiq", 0, 0, len(data)) + entry
        out += _segment(b"ZISRAWSUBBLOCK", body + bytes(max(240 - len(entry), 0)) + data)
    directory = len(out)
    out += _segment(b"ZISRAWDIRECTORY", struct.pack("<i124x", len(entries)) + b"".join(entries))
    place = len(out)
    sides = "".join(f'<Distance Id="{a}"><Value>{um * 1e-6}</Value></Distance>' for a in "XY") if um else ""
    xml = f"<ImageDocument><Metadata><Scaling><Items>{sides}</Items></Scaling></Metadata></ImageDocument>".encode()
    out += _segment(b"ZISRAWMETADATA", struct.pack("<ii248x", len(xml), 0) + xml)
    header = struct.pack("<iiii16s16siqqiq", 1, 0, 0, 0, bytes(16), bytes(16), 0, directory, place, 0, 0)
    out[:544] = _segment(b"ZISRAWFILE", header.ljust(512, b"\0"))
    path.write_bytes(bytes(out))
    return path


def _segment(name, body):
    body = body.ljust(-(-len(body) // 32) * 32, b"\0")
    return struct.pack("<16sqq", name, len(body), len(body)) + body


def _czi_tile(tile, place, compression):
    values, reduced = tile["values"], tile.get("reduced", 1)
    height, width = values.shape[:2]
    bands = 1 if values.ndim == 2 else 3
    axes = [("X", tile.get("X", 0), width * reduced, width), ("Y", tile.get("Y", 0), height * reduced, height)]
    axes += [(axis, tile[axis], 1, 1) for axis in "CZTSM" if axis in tile]
    entry = struct.pack(
        "<2siqiiBB4si", b"DV", CZI_TYPES[values.dtype.str[1:], bands], place, 0, compression, 2 if reduced > 1 else 0,
        0, bytes(4), len(axes),
    )  # fmt: skip
    entry += b"".join(struct.pack("<4siifi", axis.encode(), at, n, 0.0, stored) for axis, at, n, stored in axes)
    stored = np.ascontiguousarray(values if bands == 1 else values[..., ::-1])
    if compression == 0:
        return entry, stored.tobytes()
    if compression == 5:
        return entry, imagecodecs.zstd_encode(stored.tobytes())
    halves = np.ascontiguousarray(stored.reshape(-1).view(np.uint8).reshape(-1, 2).T)
    return entry, bytes([3, 1, 1]) + imagecodecs.zstd_encode(halves.tobytes())


# Leica


def write_lif(path, images, *, um=None):
    """Write images: {name: (values, axes)} with axes such as ``ZCYX`` or ``YXS``."""
    elements, blocks = [], []
    for k, (name, (values, axes)) in enumerate(images.items()):
        elements.append(_lif_image(name, values, axes, k, um))
        blocks.append(_lif_block(f"MemBlock_{k}", np.ascontiguousarray(values).tobytes()))
    xml = (
        '<LMSDataContainerHeader Version="2"><Element Name="project"><Children>'
        f"{''.join(elements)}</Children></Element></LMSDataContainerHeader>"
    )
    text = xml.encode("utf-16-le")
    path.write_bytes(struct.pack("<IIBI", 0x70, len(text) + 5, 0x2A, len(xml)) + text + b"".join(blocks))
    return path


def write_lof(path, name, values, axes):
    """Write one image as a file of its own."""
    kind = "LMS_Object_File"
    text = kind.encode("utf-16-le")
    xml = f'<LMSDataContainerHeader Version="2">{_lif_image(name, values, axes, 0, None)}</LMSDataContainerHeader>'
    out = struct.pack("<IIBI", 0x70, len(text) + 5, 0x2A, len(kind)) + text + struct.pack("<BIBI", 0x2A, 2, 0x2A, 0)
    out += struct.pack("<BQ", 0x2A, values.nbytes) + np.ascontiguousarray(values).tobytes()
    header = struct.pack("<IIBI", 0x70, 2 * len(xml) + 5, 0x2A, len(xml))
    path.write_bytes(out + header + xml.encode("utf-16-le"))
    return path


def _lif_block(name, data):
    text = name.encode("utf-16-le")
    return struct.pack("<IIBQBI", 0x70, 0, 0x2A, len(data), 0x2A, len(name)) + text + data


def _lif_image(name, values, axes, k, um):
    steps = dict(zip(axes, values.strides))
    sizes = dict(zip(axes, values.shape))
    letter = "C" if "C" in axes else "S"
    bits = values.itemsize * 8
    channels = "".join(
        f'<ChannelDescription DataType="0" ChannelTag="{c + 1 if letter == "S" else 0}" Resolution="{bits}" '
        'NameOfMeasuredQuantity="" Min="0" Max="1" Unit="" LUTName="Grey" IsLUTInverted="0" '
        f'BytesInc="{c * steps.get(letter, 0)}" BitInc="0"/>'
        for c in range(sizes.get(letter, 1))
    )
    dimensions = "".join(
        f'<DimensionDescription DimID="{number}" NumberOfElements="{sizes[axis]}" Origin="0" '
        f'Length="{(sizes[axis] - 1) * (um or 0) * 1e-6}" Unit="m" BytesInc="{steps[axis]}" BitInc="0"/>'
        for axis, number in (("X", 1), ("Y", 2), ("Z", 3), ("T", 4))
        if axis in axes
    )
    return (
        f'<Element Name="{name}" UniqueID="{k}"><Data><Image><ImageDescription><Channels>{channels}</Channels>'
        f"<Dimensions>{dimensions}</Dimensions></ImageDescription></Image></Data>"
        f'<Memory Size="{values.nbytes}" MemoryBlockID="MemBlock_{k}"/></Element>'
    )


# Medical


def write_dicom(path, values, kind="MONOCHROME2", *, bits=None, **tags):
    """Write (Y, X), (frames, Y, X), or of colours with 3 at the end; tags by their keywords."""
    import pydicom
    from pydicom.dataset import FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage, generate_uid

    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = SecondaryCaptureImageStorage, generate_uid()
    data = pydicom.Dataset()
    data.file_meta = meta
    data.SOPClassUID, data.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    colours = kind not in ("MONOCHROME1", "MONOCHROME2", "PALETTE COLOR")
    shape = values.shape[:-1] if colours else values.shape
    if len(shape) == 3:
        data.NumberOfFrames = shape[0]
    data.Rows, data.Columns = shape[-2:]
    data.SamplesPerPixel, data.PhotometricInterpretation = (3 if colours else 1), kind
    if colours:
        data.PlanarConfiguration = 0
    data.BitsAllocated = 8 * values.itemsize
    data.BitsStored = bits or data.BitsAllocated
    data.HighBit, data.PixelRepresentation = data.BitsStored - 1, int(values.dtype.kind == "i")
    for name, value in tags.items():
        setattr(data, name, value)
    data.PixelData = values.tobytes()
    data.save_as(path, enforce_file_format=True)
    return path
