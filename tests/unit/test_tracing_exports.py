"""What is handed on: whole, exact, self-contained, and inert whatever strangers wrote into labels."""

from __future__ import annotations

import csv
import io
import re
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET
from xml.etree.ElementTree import Element

import orjson
import pytest
import resvg_py
from tracing_samples import SYMBOLS, TEN_WALLETS, THIEF, dmm_tracer, winding_tracer

from walletwatch.demo.evidence import render_tree
from walletwatch.output.texts import percent, shorten
from walletwatch.tracing.exports.drawings import render_svg
from walletwatch.tracing.exports.files import FONTS, FORMATS, export_files
from walletwatch.tracing.exports.layouts import MAX_PER_COLUMN, Unit, lay_out, unit_of
from walletwatch.tracing.traces import Trace, trace_as_json

GOLDEN = Path(__file__).parents[1] / "golden"
HOSTILE = "</script><script>alert(1)</script>\"'&<img src=x onerror=y>\x00\u202e"


def read_xml(text: str | bytes) -> Element:
    return ET.fromstring(text)  # noqa: S314 - our own output


def dmm() -> Trace:
    return dmm_tracer().result()


def hostile() -> Trace:
    trace = winding_tracer().result()
    nodes = tuple(replace(node, label=HOSTILE, category=HOSTILE) for node in trace.nodes)
    stops = tuple(replace(stop, label=f"=cmd()|{HOSTILE}", category=HOSTILE) for stop in trace.stops)
    case = replace(trace.case, name=HOSTILE, opened_by=HOSTILE)
    return replace(trace, nodes=nodes, stops=stops, case=case, gaps=(HOSTILE,))


def test_every_format_gives_its_files() -> None:
    files = export_files([dmm()], FORMATS, SYMBOLS, "as of block 845,753")
    assert sorted(files) == [
        "case_1-edges.csv",
        "case_1-nodes.csv",
        "case_1-stops.csv",
        "case_1.graphml",
        "case_1.html",
        "case_1.json",
        "case_1.png",
        "case_1.stix.json",
        "case_1.svg",
    ]
    again = export_files([dmm()], FORMATS, SYMBOLS, "as of block 845,753")
    assert all(again[name] == content for name, content in files.items())
    with pytest.raises(ValueError, match="unknown format pdf"):
        export_files([dmm()], ["pdf"], SYMBOLS)
    with pytest.raises(ValueError, match="no trace yet"):
        export_files([], ["svg"], SYMBOLS)


def test_the_png_is_the_picture_at_twice_its_size() -> None:
    files = export_files([dmm()], ["svg", "png"], SYMBOLS)
    root, png = read_xml(files["case_1.svg"]), files["case_1.png"]
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    width, height = int.from_bytes(png[16:20], "big"), int.from_bytes(png[20:24], "big")
    assert (width, height) == (2 * int(root.get("width", "0")), 2 * int(root.get("height", "0")))


def test_words_are_drawn_by_the_projects_own_fonts() -> None:
    """A server without fonts gives pictures without words: resvg leaves out what it has no letters for."""
    frame = '<svg xmlns="http://www.w3.org/2000/svg" width="400" height="40">{}</svg>'
    for family, weight in (("sans-serif", 400), ("sans-serif", 700), ("monospace", 600)):
        text = f'<text x="2" y="30" font-family="{family}" font-weight="{weight}">4,502.9 BTC → bc1q…trrq7</text>'
        drawn = resvg_py.svg_to_bytes(
            svg_string=frame.format(text),
            font_dirs=[str(FONTS)],
            skip_system_fonts=True,
            sans_serif_family="DejaVu Sans",
            monospace_family="DejaVu Sans Mono",
        )
        assert len(drawn) > 2 * len(resvg_py.svg_to_bytes(svg_string=frame.format("")))


def test_the_page_is_one_file_without_scripts_or_links() -> None:
    page = export_files([dmm()], ["html"], SYMBOLS)["case_1.html"].decode()
    assert "Content-Security-Policy" in page
    assert not re.search(r"<script|<link|<iframe|<object|@import|url\(|\shref=|\ssrc=", page)
    assert "http:" not in page.replace("http://www.w3.org/2000/svg", "")
    for wallet in (*TEN_WALLETS, THIEF):
        assert wallet in page
    assert "4,502.9 BTC stolen" in page


def test_the_picture_names_addresses_short_and_whole_in_tooltips() -> None:
    root = read_xml(render_svg(dmm(), SYMBOLS))
    texts = [e.text for e in root.iter() if e.tag.endswith("text")]
    titles = " ".join(e.text or "" for e in root.iter() if e.tag.endswith("title"))
    assert shorten(THIEF) in texts
    assert all(shorten(wallet) in texts and wallet in titles for wallet in TEN_WALLETS)
    paths = [e for e in root.iter() if e.tag.endswith("path")]
    assert len(paths) == 11


def test_a_strangers_words_stay_words() -> None:
    files = export_files([hostile()], FORMATS, SYMBOLS)
    page, picture = files["case_1.html"].decode(), files["case_1.svg"].decode()
    for text in (page, picture, files["case_1.graphml"].decode()):
        assert "<script" not in text
        assert "<img" not in text
        assert "\x00" not in text
        assert "\u202e" not in text
    assert any("<script>" in (e.text or "") for e in read_xml(picture).iter())
    assert read_xml(files["case_1.graphml"]) is not None
    stops = list(csv.DictReader(io.StringIO(files["case_1-stops.csv"].decode(), newline="")))
    assert all(row["label"].startswith("'=cmd") for row in stops)
    assert any(row["onward_memo"].startswith("'=:ETH.ETH:") for row in stops)
    assert "\x00" not in render_tree(hostile(), SYMBOLS)


def test_csv_amounts_are_exact_and_add_up() -> None:
    trace = winding_tracer().result()
    files = export_files([trace], ["csv"], SYMBOLS)
    nodes = list(csv.DictReader(io.StringIO(files["case_1-nodes.csv"].decode(), newline="")))
    stops = list(csv.DictReader(io.StringIO(files["case_1-stops.csv"].decode(), newline="")))
    totals = trace.totals[trace.model]
    assert sum(int(row["holding"]) for row in nodes) == totals.holding
    assert sum(int(row["tainted"]) for row in stops) == totals.at_services + totals.below_threshold
    assert {row["tainted_coins"] for row in stops} == {"0.6", "0.35", "0.29", "0.15"}


def test_graphml_has_every_node_and_edge() -> None:
    trace = winding_tracer().result()
    root = read_xml(export_files([trace], ["graphml"], SYMBOLS)["case_1.graphml"])
    space = "{http://graphml.graphdrawing.org/xmlns}"
    ids = {node.get("id") for node in root.iter(f"{space}node")}
    edges = list(root.iter(f"{space}edge"))
    assert (len(ids), len(edges)) == (len(trace.nodes), len(trace.edges))
    assert all(edge.get("source") in ids and edge.get("target") in ids for edge in edges)
    declared = {key.get("id") for key in root.iter(f"{space}key")}
    assert {data.get("key") for data in root.iter(f"{space}data")} <= declared


STIX_ID = re.compile(r"([a-z][a-z0-9-]+)--[0-9a-f]{8}-[0-9a-f]{4}-5[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}\Z")
STIX_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8}\.[0-9]{3}Z\Z")


def test_the_stix_bundle_is_closed_and_deterministic() -> None:
    raw = export_files([dmm()], ["stix"], SYMBOLS)["case_1.stix.json"]
    bundle = orjson.loads(raw)
    objects: list[dict[str, Any]] = bundle["objects"]
    ids = [item["id"] for item in objects]
    assert len(set(ids)) == len(ids)
    for item in objects:
        match = STIX_ID.match(item["id"])
        assert match is not None
        assert match[1] == item["type"]
        for key in ("created", "modified", "valid_from"):
            assert key not in item or STIX_TIME.match(item[key])
        refs = [item[k] for k in item if k.endswith("_ref")] + [r for k in item if k.endswith("_refs") for r in item[k]]
        assert set(refs) <= set(ids)
    wallets = {item["value"] for item in objects if item["type"] == "cryptocurrency-wallet"}
    assert wallets >= {*TEN_WALLETS, THIEF}
    assert len([i for i in objects if i["type"] == "indicator"]) == 10
    assert raw == export_files([dmm()], ["stix"], SYMBOLS)["case_1.stix.json"]


def test_a_fan_out_of_many_is_drawn_as_few_and_keeps_its_sum() -> None:
    trace = dmm()
    last = trace.nodes[-1]
    more = tuple(replace(last, id=f"x{n}", address=f"x{n}", tainted=n + 1, holding=n + 1) for n in range(100))
    edges = tuple(replace(trace.edges[-1], target=node.id, tainted=node.tainted) for node in more)
    layout = lay_out(replace(trace, nodes=trace.nodes + more, edges=trace.edges + edges))
    column = [box for box in layout.boxes if box.column == 2]
    assert len(column) == MAX_PER_COLUMN + 1
    assert sum(box.tainted for box in column) == 450_289_900_000 + sum(range(1, 101))
    boxes = sorted(column, key=lambda box: box.y)
    assert all(a.y + a.height <= b.y for a, b in pairwise(boxes))


def test_the_terminal_tree_is_as_it_was_agreed() -> None:
    """Golden: change the file when the tree is meant to change."""
    for name, tracer in (("tracing_tree_dmm.txt", dmm_tracer()), ("tracing_tree_winding.txt", winding_tracer())):
        assert render_tree(tracer.result(), SYMBOLS) == (GOLDEN / name).read_text(encoding="utf-8")


def test_several_stolen_assets_are_told_beside_each_other() -> None:
    trace = dmm()
    body = trace_as_json([trace, replace(trace, stolen=5)], SYMBOLS)
    assert (body["symbol"], body["decimals"], body["other_assets"][0]["stolen"]) == ("BTC", 8, "5")
    page = export_files([trace, trace], ["html", "svg"], SYMBOLS)
    assert page["case_1.html"].decode().count("<svg") == 2
    assert sorted(page) == ["case_1-1.svg", "case_1.html", "case_1.svg"]


def test_amounts_are_rounded_down_and_say_so() -> None:
    ether = Unit("ETH", 18)
    assert ether.exact(10**18 + 1) == "1.000000000000000001 ETH"
    assert ether.short(10**18 + 1) == "1… ETH"
    assert ether.short(1234567 * 10**12) == "1.2345… ETH"
    assert ether.short(1) == "0.000000000000000001 ETH"
    assert (percent(1, 3), percent(999_999, 1_000_000), percent(5, 5), percent(0, 0)) == (
        "33.3 %",
        "99.9 %",
        "100 %",
        "0 %",
    )
    assert unit_of(dmm().asset, {}).exact(5).startswith("5 base units of bip122:")
