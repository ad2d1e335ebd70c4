import base64
import dataclasses
import re
from html.parser import HTMLParser
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from envs.video import write_mp4
from launch.plots import STYLES, Series, adaptation_curve, band_series, conductance_maps, evaluation_figure, spread
from launch.report import BillLine, HiddenItem, Outcome, ReportData, count, quantity, write_report

MEAN = [0.45, 0.25, 0.17, 0.13, 0.1, 0.09]
OUTCOME = Outcome(0.451, 0.093, 0.0434, 5, 10.0, 6213.0, 1.24e-6)
VOID = {"meta", "link", "input", "br"}


class Page(HTMLParser):
    """Every tag with its attributes, and whether the tags close in order."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.open, self.words = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)


@pytest.fixture
def report(tmp_path):
    frames = [np.full((32, 48, 3), 10 * number, dtype=np.uint8) for number in range(10)]
    curve = [Series("policy on the chip", "chip", MEAN, [[0.9 * m, 1.1 * m] for m in MEAN])]
    curve.append(Series("oracle", "oracle", [0.04] * 6))
    head = np.random.default_rng(0).normal(size=(2, 12))
    return ReportData(
        title="PlanarTrack on hermes_2",
        outcome=OUTCOME,
        before_mp4=write_mp4(tmp_path / "before.mp4", frames, 25),
        after_mp4=write_mp4(tmp_path / "after.mp4", frames[::-1], 25),
        filmed_rad=(0.41, 0.05),
        curve=curve,
        curve_note="Mean over 10 bodies & 4 chips.",
        hidden=[HiddenItem("payload", "1.2 kg", "0 kg", "<script>alert('heavy')</script>")],
        head_before_us=head,
        head_after_us=3 * head,
        bill=[BillLine("total", 1800.0, 6213.0, 18_639.0, (0.9e-6, 1.24e-6, 2e-6), 0.00239, 9200.0)],
        assumptions=["Three pulses a device: assumption."],
        command="python -m launch.demo --seed 3",
        facts=[("Seed", "3"), ("Pictures drawn by", "software")],
        output_names=["shoulder", "elbow"],
    )


@pytest.fixture
def page(report, tmp_path):
    write_report(tmp_path / "report.html", report)
    return (tmp_path / "report.html").read_text()


def metrics(bands):
    part = {"rmse_rad": MEAN, "rmse_rad_ci95": [[0.9 * m, 1.1 * m] for m in MEAN]}
    names = ("nominal", "pi", "oracle", "never_written")
    chip = part | {f"{name}_rmse_rad": [0.1 * (number + 1)] * 6 for number, name in enumerate(names)}
    soft = {"rmse_rad": [0.9 * m for m in MEAN]}
    return {
        "env": "envs:PhaseArm/PlanarTrack-v0", "memory": "hermes_2", "chips": 8,
        "bands": dict.fromkeys(bands, chip),
        "software": {"bands": dict.fromkeys(bands, soft)},
        "random_features": {"bands": {}},
    }  # fmt: skip


# The sentence and its numbers


def test_the_sentence_says_what_was_found():
    assert OUTCOME.sentence == (
        "Before any lesson the arm misses by 0.451 rad; after 5 lessons (10 s of motion, 6,213 device writes, 1.24 uJ) "
        "by 0.093; perfect knowledge of its body would give 0.043."
    )


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1.24e-6, "1.24 µJ"),
        (0.0, "0 J"),
        (999.6e-9, "1.00 µJ"),  # not 1000 nJ
        (999.4e-9, "999 nJ"),
        (13.4e-9, "13.4 nJ"),
        (9.996e-12, "10.0 pJ"),  # not 10.00
        (1e-3, "1.00 mJ"),
        (12.0, "12.0 J"),
        (-2.5e-3, "-2.50 mJ"),
        (4e-19, "0.00 fJ"),  # below the smallest prefix
    ],
)
def test_quantities_have_three_digits_and_a_prefix(value, text):
    assert quantity(value, "J") == text


@given(st.floats(1e-15, 1e11))
def test_a_quantity_reads_back_to_three_digits(value):
    number, unit = quantity(value, "J").split()
    factor = {"fJ": 1e-15, "pJ": 1e-12, "nJ": 1e-9, "µJ": 1e-6, "mJ": 1e-3, "J": 1.0, "kJ": 1e3, "MJ": 1e6, "GJ": 1e9}
    assert float(number) * factor[unit] == pytest.approx(value, rel=0.0051)


def test_counts_have_separators():
    assert count(12345.4) == "12,345"


# The page


def test_the_page_needs_nothing_from_elsewhere(page):
    for tag, attributes in Page(page).tags:
        for name in ("src", "href", "xlink:href", "poster", "srcset", "action"):
            if name in attributes:
                assert attributes[name].startswith(("data:", "#")), (tag, name, attributes[name][:60])
    assert not re.search(r"@import|url\((?!#)|fetch\(|XMLHttpRequest", page)


def test_the_page_is_well_formed_and_every_id_is_its_own(page):
    parsed = Page(page)
    assert parsed.open == []
    ids = [attributes["id"] for _, attributes in parsed.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    named = [attributes["aria-labelledby"] for _, attributes in parsed.tags if "aria-labelledby" in attributes]
    assert set(named) <= set(ids)


def test_the_videos_are_inside_looping_muted_and_described(page, report):
    videos = [attributes for tag, attributes in Page(page).tags if tag == "video"]
    for video, path in zip(videos, (report.before_mp4, report.after_mp4), strict=True):
        assert base64.b64decode(video["src"].removeprefix("data:video/mp4;base64,")) == path.read_bytes()
        assert {"loop", "muted", "playsinline", "autoplay"} <= set(video)
        assert "rad from its reference" in video["aria-label"]


def test_the_page_says_everything_it_was_given(page, report):
    words = "".join(Page(page).words)
    for text in (
        report.outcome.sentence, report.title, report.command, report.curve_note, "payload", "1.2 kg", "6,213",
        "18,639", "9,200", "900 nJ", "1.24 µJ", "2.00 µJ", "2.39 ms", "Three pulses a device: assumption.",
        "Pictures drawn by", "software", "policy on the chip", "0.090", "shoulder", "elbow",
        "differential conductance [µS]", "error of an episode [rad]",
    ):  # fmt: skip
        assert text in words


def test_what_it_was_given_is_text_and_never_runs(page):
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(&#39;heavy&#39;)" in page


def test_a_page_that_cannot_be_made_leaves_the_old_one(report, tmp_path):
    target = tmp_path / "report.html"
    target.write_text("old")
    with pytest.raises(ValueError, match=r"no video at .*gone\.mp4"):
        write_report(target, dataclasses.replace(report, after_mp4=tmp_path / "gone.mp4"))
    with pytest.raises(ValueError, match=r"\(2, 12\) and \(3, 12\)"):
        write_report(target, dataclasses.replace(report, head_after_us=np.zeros((3, 12))))
    assert target.read_text() == "old"


# The figures


def test_figures_are_svg_with_a_description_and_the_pages_colours():
    for svg in (adaptation_curve([Series("a < b & c", "chip", MEAN)]), conductance_maps(np.eye(3), 2 * np.eye(3))):
        root = ElementTree.fromstring(svg)
        assert root.get("role") == "img"
        assert root.get("aria-label")
        assert root.get("width") is None
        assert root.get("viewBox")
        assert "var(--ink, #24292f)" in svg
    assert "mean change 0.333 microsiemens" in svg  # three of nine cells change by 1


def test_equal_figures_are_equal_text():
    series = [Series(name, name, MEAN) for name in STYLES]
    assert adaptation_curve(series) == adaptation_curve(series)


def heights(svg):
    """Return the vertical places of the three points of the only line with a series' colour."""
    path = re.search(r'd="M [\d.]+ ([\d.]+) \nL [\d.]+ ([\d.]+) \nL [\d.]+ ([\d.]+) \n"[^>]*--series-chip', svg)
    return [float(place) for place in path.groups()]


def test_a_decade_is_as_high_as_another_on_a_logarithmic_axis_alone():
    lines = [Series("chip", "chip", [1.0, 0.1, 0.01])]
    top, middle, bottom = heights(adaptation_curve(lines, log=True))
    assert middle - top == pytest.approx(bottom - middle, rel=1e-4)
    top, middle, bottom = heights(adaptation_curve(lines))
    assert middle - top == pytest.approx(10.0 * (bottom - middle), rel=1e-4)


def test_every_style_has_its_own_colour_and_marker():
    assert len({style.colour for style in STYLES.values()}) == len(STYLES)
    assert len({style.marker for style in STYLES.values()}) == len(STYLES)


def test_wrong_series_and_maps_are_named():
    with pytest.raises(ValueError, match=r"'dotted'.*'chip'.*'software'"):
        Series("x", "dotted", MEAN)
    with pytest.raises(ValueError, match=r"\(2, 2\); needs \(6, 2\)"):
        Series("x", "chip", MEAN, [[0, 1], [0, 1]])
    with pytest.raises(ValueError, match=r"1 names \['elbow'\] for 2 outputs"):
        conductance_maps(np.zeros((2, 3)), np.zeros((2, 3)), ["elbow"])


@given(st.lists(st.floats(0, 100), min_size=1, max_size=8))
def test_labels_are_spread_apart_in_order_and_in_range(wanted):
    places = spread(np.array(wanted), 10.0, 0.0, 100.0)
    ordered = places[np.argsort(wanted, kind="stable")]
    assert (np.diff(ordered) >= 10.0 - 1e-9).all()
    assert places.min() >= -1e-9
    assert places.max() <= 100.0 + 1e-9


def test_labels_that_do_not_touch_stay_and_two_that_do_part_evenly():
    np.testing.assert_allclose(spread(np.array([20.0, 80.0]), 10.0, 0.0, 100.0), [20.0, 80.0])
    np.testing.assert_allclose(spread(np.array([52.0, 50.0]), 10.0, 0.0, 100.0), [56.0, 46.0])


def test_the_lines_of_a_band_are_the_metrics():
    lines = {each.style: each for each in band_series(metrics(["mild"]), "mild")}
    assert sorted(lines) == ["chip", "integral", "never", "nominal", "oracle", "software"]  # no random features given
    assert lines["chip"].mean == MEAN
    assert np.shape(lines["chip"].ci95) == (6, 2)
    assert lines["integral"].mean[0] == pytest.approx(0.2)


@pytest.mark.parametrize("bands", [["in_range"], ["in_range", "mild", "hard"]])
def test_the_evaluation_figure_has_a_panel_a_band(bands, tmp_path):
    png, svg = evaluation_figure(metrics(bands), tmp_path)
    with Image.open(png) as picture:
        assert picture.width > 350 * len(bands)
        assert np.asarray(picture.convert("L")).std() > 5
    text = "".join(ElementTree.parse(svg).getroot().itertext())
    assert [band for band in ("in range", "mild", "hard") if band in text] == [b.replace("_", " ") for b in bands]
    assert "best integral" in text
