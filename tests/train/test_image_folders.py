"""Folders of images: what becomes of each kind of file, its label and its part."""

import numpy as np
import pytest
from PIL import Image

from fastvae.train.data import datasets
from fastvae.train.data.description import Reading
from fastvae.train.errors import UserError
from fastvae.train.files import stable
from fastvae.train.images import decode, folder, workers
from tests.train import own_data

GREY = np.arange(256, dtype=np.uint8).reshape(16, 16)
COLOUR = np.stack((GREY, GREY.T, 255 - GREY), 2)


def decoded(path, shape):
    return decode.decoded(path, shape)


def test_colour_and_grey(tmp_path):
    Image.fromarray(COLOUR).save(tmp_path / "colour.png")
    Image.fromarray(GREY).save(tmp_path / "grey.png")
    np.testing.assert_array_equal(decoded(tmp_path / "colour.png", (3, 16, 16)), COLOUR.transpose(2, 0, 1))
    np.testing.assert_array_equal(decoded(tmp_path / "grey.png", (1, 16, 16)), GREY[None])
    np.testing.assert_array_equal(decoded(tmp_path / "grey.png", (3, 16, 16)), np.stack([GREY] * 3))
    luminance = COLOUR @ np.array([0.299, 0.587, 0.114])  # ITU-R 601-2
    assert np.abs(decoded(tmp_path / "colour.png", (1, 16, 16))[0] - luminance).max() <= 0.5 + 1e-3


@pytest.mark.parametrize(("suffix", "most"), [(".png", 0), (".bmp", 0), (".webp", 12), (".jpg", 12), (".JPEG", 12)])
def test_every_suffix_is_found_and_read(tmp_path, suffix, most):
    smooth = np.asarray(Image.fromarray(COLOUR[:2, :2]).resize((32, 32), Image.Resampling.BILINEAR))
    for number in range(2):
        Image.fromarray(smooth).save(tmp_path / f"{number}{suffix}", quality=95)
    data = datasets.load(str(tmp_path), None)
    assert data.train.images.shape == (1, 3, 32, 32)
    assert np.abs(data.train.images[0].numpy().astype(int) - smooth.transpose(2, 0, 1)).max() <= most


def test_what_is_transparent_becomes_white(tmp_path):
    alpha = np.zeros((16, 16), np.uint8)
    alpha[:8], alpha[8] = 255, 128
    Image.fromarray(np.dstack((COLOUR, alpha))).save(tmp_path / "rgba.png")
    found = decoded(tmp_path / "rgba.png", (3, 16, 16)).transpose(1, 2, 0)
    np.testing.assert_array_equal(found[:8], COLOUR[:8])
    np.testing.assert_array_equal(found[9:], 255)
    assert np.abs(found[8] - (128 * COLOUR[8].astype(float) + 127 * 255) / 255).max() <= 1
    Image.fromarray(np.dstack((GREY, alpha))).save(tmp_path / "la.png")
    found = decoded(tmp_path / "la.png", (1, 16, 16))[0]
    np.testing.assert_array_equal(found[:8], GREY[:8])
    np.testing.assert_array_equal(found[9:], 255)


def test_palettes(tmp_path):
    palette = Image.fromarray(GREY // 128).convert("P")
    palette.putpalette([10, 20, 30, 200, 100, 50])
    palette.save(tmp_path / "opaque.png")
    palette.save(tmp_path / "transparent.png", transparency=0)
    found = decoded(tmp_path / "opaque.png", (3, 16, 16))
    assert found[:, 0, 0].tolist() == [10, 20, 30]
    assert found[:, -1, 0].tolist() == [200, 100, 50]
    found = decoded(tmp_path / "transparent.png", (3, 16, 16))
    assert found[:, 0, 0].tolist() == [255, 255, 255]
    assert found[:, -1, 0].tolist() == [200, 100, 50]


def test_sixteen_bits_become_eight(tmp_path):
    levels = np.linspace(0, 65535, 256).round().astype(np.uint16).reshape(16, 16)
    Image.fromarray(levels).save(tmp_path / "deep.png")
    with Image.open(tmp_path / "deep.png") as file:
        assert file.mode.startswith("I")
    np.testing.assert_array_equal(decoded(tmp_path / "deep.png", (1, 16, 16)), GREY[None])
    assert decode.headers([tmp_path / "deep.png"]) == [(16, 16, 1)]


def test_cmyk(tmp_path):
    inks = Image.new("CMYK", (16, 16), (0, 255, 255, 0))  # red
    inks.save(tmp_path / "print.jpg", quality=100)
    red, green, blue = decoded(tmp_path / "print.jpg", (3, 16, 16)).reshape(3, -1).mean(1)
    assert red > 250
    assert max(green, blue) < 5


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp"])
def test_exif_orientation(tmp_path, suffix):
    upright = np.zeros((16, 32), np.uint8)
    upright[:, :8] = 255
    exif = Image.Exif()
    exif[0x0112] = 6  # stored turned: to be shown, rotated by 90 degrees clockwise
    Image.fromarray(np.rot90(upright)).save(tmp_path / f"turned{suffix}", exif=exif, quality=95)
    assert decode.headers([tmp_path / f"turned{suffix}"])[0][:2] == (16, 32)
    found = decoded(tmp_path / f"turned{suffix}", (1, 16, 32))[0].astype(int)
    assert np.abs(found - upright).mean() < 3


def test_the_shorter_side_fits_and_the_longer_one_is_cropped_about_the_centre(tmp_path):
    wide = np.zeros((32, 96), np.uint8)
    wide[:, 32:64] = 200
    Image.fromarray(wide).save(tmp_path / "wide.png")
    Image.fromarray(wide.T).save(tmp_path / "tall.png")
    for name in ("wide", "tall"):
        found = decoded(tmp_path / f"{name}.png", (1, 8, 8))[0]
        np.testing.assert_array_equal(found[3:5, 3:5], 200)
        # The integral of the bicubic kernel beyond half a pixel, by which those at the edge see what is cropped.
        assert np.abs(found.astype(int) - 200).max() <= 0.081 * 200 + 1


def test_resizing_is_antialiased(tmp_path):
    stripes = np.tile(np.array([0, 255], np.uint8), (64, 32))
    Image.fromarray(stripes).save(tmp_path / "stripes.png")
    found = decoded(tmp_path / "stripes.png", (1, 16, 16))[0, 4:-4, 4:-4]
    # Every fourth pixel alone would be all black or all white.
    assert np.abs(found.astype(float) - 127.5).max() < 20


def test_labels_are_the_subfolders_in_order(tmp_path):
    own_data.folder(tmp_path, 12)
    listing = folder.listed(tmp_path)
    assert listing.label_names == ["blue", "red"]
    for name, label in zip(listing.names, listing.labels, strict=True):
        assert name.startswith(("blue/", "red/")[label])
    data = datasets.load(str(tmp_path), None)
    assert datasets.describe(str(tmp_path)) == ("folder", (3, 12, 12), "bytes", 2)
    for split in data:
        for image, label in zip(split.images, split.labels, strict=True):
            # Somewhere in it is the disc.
            darkest = image.float().flatten(1)[:, image.float().sum(0).argmin()]
            assert darkest.argmax() == (2, 0)[label]


def test_numbered_subfolders_are_in_the_order_of_the_numbers(tmp_path):
    for label in ("10", "9", "2"):
        (tmp_path / label).mkdir()
        Image.fromarray(GREY).save(tmp_path / label / "a.png")
    assert folder.listed(tmp_path).label_names == ["2", "9", "10"]


def test_a_folder_of_train_and_test(tmp_path):
    own_data.folder(tmp_path / "train", 10)
    own_data.folder(tmp_path / "test", 6)
    data = datasets.load(str(tmp_path), None)
    assert (len(data.train.labels), len(data.test.labels)) == (10, 6)
    assert sorted(data.test.labels.tolist()) == [0] * 3 + [1] * 3
    listing = folder.listed(tmp_path)
    assert all(name.startswith("train/") for name in listing.names[:10])


def test_without_subfolders_there_are_no_labels(tmp_path):
    Image.fromarray(GREY).save(tmp_path / "a.png")
    Image.fromarray(GREY).save(tmp_path / "b.png")
    (tmp_path / ".hidden.png").write_text("no image")
    (tmp_path / "notes.txt").write_text("left out")
    assert datasets.describe(str(tmp_path)) == ("folder", (1, 16, 16), "bytes", 0)
    assert datasets.load(str(tmp_path), None).train.labels.tolist() == [0]


def test_a_new_file_moves_no_other(tmp_path):
    names = [f"{number}.png" for number in range(200)]
    before = stable.parts(stable.of_names(names))
    held_out = {names[row] for row in before.test}
    assert 8 <= len(held_out) <= 35  # 20 expected; 3.5 standard deviations
    more = ["new.png", *names[:50], "another.png", *names[50:]]
    after = {more[row] for row in stable.parts(stable.of_names(more)).test}
    assert after - {"new.png", "another.png"} == held_out
    fewer = {names[1:][row] for row in stable.parts(stable.of_names(names[1:])).test}
    assert fewer == held_out - {names[0]}


def test_the_hashes_are_those_of_every_machine():
    """Of earlier runs, too: these are not to change."""
    assert stable.of_names(["a.png", "cat/ü.jpg"]).tolist() == NAME_HASHES
    # The first outputs of splitmix64 with the seed 0, as published with its code.
    assert [hex(value) for value in stable.of_rows(2)] == ["0xe220a8397b1dcdaf", "0x6e789e6aa1b965f4"]


NAME_HASHES = [6266261796961190882, 17453584667217941003]


def test_every_part_has_all_labels(tmp_path):
    """The last training images validate: in the order of names they would be of the last label."""
    own_data.folder(tmp_path, 200, suffixes=(".png",))
    data = datasets.load(str(tmp_path), None)
    _, validation = datasets.hold_out(data.train, 0.1)
    for split in (data.test, validation):
        assert 0.2 < split.labels.double().mean() < 0.8


def test_sizes(tmp_path):
    own_data.folder(tmp_path, 6)
    Image.fromarray(COLOUR).save(tmp_path / "red" / "large.png")
    with pytest.raises(UserError, match=r"--image-size: got none for .*2 sizes, such as 12 x 12 and 16 x 16 \(red/la"):
        datasets.describe(str(tmp_path))
    assert datasets.describe(str(tmp_path), Reading(image_size=8)) == ("folder", (3, 8, 8), "bytes", 2)
    assert datasets.describe(str(tmp_path), Reading(image_size=8, channels=1)) == ("folder", (1, 8, 8), "bytes", 2)
    data = datasets.load(str(tmp_path), None, reading=Reading(image_size=8, channels=1))
    assert data.train.images.shape[1:] == (1, 8, 8)


def broken_png(path):
    Image.fromarray(COLOUR).save(path / "a.png")
    Image.fromarray(COLOUR).save(path / "b.png")
    content = (path / "a.png").read_bytes()
    (path / "a.png").write_bytes(content[: len(content) // 2])


def text_as_jpeg(path):
    Image.fromarray(COLOUR).save(path / "b.png")
    (path / "a.jpg").write_text("<html>404</html>")


def gif_as_png(path):
    Image.fromarray(COLOUR).save(path / "b.png")
    Image.fromarray(COLOUR).save(path / "a.png", format="GIF")


def one_image(path):
    Image.fromarray(COLOUR).save(path / "a.png")


def train_alone(path):
    own_data.folder(path / "train", 4)
    own_data.folder(path / "val", 4)


def empty_test(path):
    own_data.folder(path / "train", 4)
    (path / "test").mkdir()


def beside_the_parts(path):
    for part in ("train", "test", "extra"):
        own_data.folder(path / part, 4)


def beside_the_labels(path):
    own_data.folder(path, 4)
    Image.fromarray(COLOUR).save(path / "a.png")


def ring(path):
    own_data.folder(path, 4)
    (path / "red" / "again").symlink_to(path)


MISTAKES = {
    broken_png: r"/a\.png: no image that can be read \(",
    text_as_jpeg: r"/a\.jpg: no image that can be read \(cannot identify",
    gif_as_png: r"/a\.png: no image that can be read \(cannot identify",
    lambda path: None: "no images in it; takes files that end in .png, .jpg, .jpeg, .webp, .bmp",
    one_image: "1 image; takes at least 2",
    train_alone: "has a folder train alone; takes both train and test, or neither",
    empty_test: "/test: no images in it",
    beside_the_parts: "extra/blue/000.png is in neither of its folders train and test",
    beside_the_labels: "1 images beside subfolders blue, red",
    ring: "a link to a folder that it is in",
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_what_cannot_be_read_is_named(tmp_path, mistake):
    mistake(tmp_path)
    with pytest.raises(UserError, match=MISTAKES[mistake]) as raised:
        datasets.load(str(tmp_path), None)
    assert str(tmp_path) in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_broken_file_among_many_is_named_by_its_worker(tmp_path, monkeypatch):
    own_data.folder(tmp_path, 12, suffixes=(".png",))
    monkeypatch.setattr(workers, "CHUNK", 2)
    (tmp_path / "red" / "007.png").write_bytes(b"broken")
    with pytest.raises(UserError, match=r"red/007\.png: no image"):
        datasets.load(str(tmp_path), None)
