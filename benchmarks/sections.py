"""The sections of the comparison, and whether each was run beside its peers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from benchmarks.suite import Section, Suite

SECTIONS = (
    Section(
        key="networks",
        title="Gene networks",
        lead="Networks of cell types, scored against truths from literature and experiments.",
        not_run={
            "GENIE3": "over all genes, in the full size: minutes a network",
            "scPRINT, genome-wide": "in the full size",
        },
    ),
    Section(
        key="denoising",
        title="Denoising",
        lead="Thinned counts, and how well each method finds the full ones.",
    ),
    Section(
        key="annotation",
        title="Annotation",
        lead="Cell types of donors and files that were held out.",
        not_run={
            "CellTypist's own models": "they are fetched from their authors; the one here is trained on the same cells"
        },
    ),
    Section(
        key="integration",
        title="Integration",
        lead="Cells of several donors and laboratories in one space.",
        not_run={
            "LIGER": "it is used from R, which no environment here has",
            "SAUCIE": "it is written for TensorFlow 1, which the environments' Python does not have",
        },
    ),
    Section(
        key="ablations",
        title="Ablations",
        lead="The small model with one part changed, trained for 300 steps, in the full size only: hours. Beside a "
        "shorter run stand the last results, with their date and commit.",
    ),
    Section(key="speed", title="Speed and memory", lead="Side by side in one run; times depend on the machine."),
)


def peers_of(suites: Iterable[Suite], results: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, str]]:
    """Return the state of each peer by section: "ran", or the reason why it did not."""
    found: dict[str, dict[str, str]] = {section.key: dict(section.not_run) for section in SECTIONS}
    for suite in suites:
        mine = [result for result in results if result["suite"] == suite.name]
        for peer, mark in suite.peers.items():
            states = found[suite.section]
            if any(_is_shown(suite, mark, row) for result in mine for row in result["rows"]):
                states[peer] = "ran"
            elif states.get(peer) != "ran" and (mine or peer not in states):
                states[peer] = _reason(peer, mark, mine)
    return found


def failures(suites: Iterable[Suite], results: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return why sections that were run fail: no peer ran, or a named one has neither rows nor a reason.

    A section of which nothing was to be run is not looked at.
    """
    suites = list(suites)
    wrong = []
    states = peers_of(suites, results)
    begun = {result["suite"] for result in results}
    for section in SECTIONS:
        mine = [suite for suite in suites if suite.section == section.key and suite.name in begun]
        if not mine:
            continue
        ran = [peer for peer, state in states[section.key].items() if state == "ran"]
        if not ran:
            told = "; ".join(f"{peer}: {state or 'no rows'}" for peer, state in states[section.key].items())
            wrong.append(f"{section.title}: no peer ran ({told or 'none is named'})")
        named = dict.fromkeys(peer for suite in mine for peer in suite.peers)
        wrong += [
            f"{section.title}: {peer} has no rows, and no reason" for peer in named if not states[section.key][peer]
        ]
    return wrong


def _is_shown(suite: Suite, mark: str, row: Mapping[str, Any]) -> bool:
    if row.get("status", "ok") != "ok":
        return False
    if suite.method and str(row.get(suite.method, "")) == mark:
        return True
    return mark in row and row[mark] != ""


def _reason(peer: str, mark: str, results: Sequence[Mapping[str, Any]]) -> str:
    """Return why a peer has no rows; "" where all was done and nothing says so."""
    if not results:
        return "its suite is not part of this run"
    for result in results:
        for name, why in result["not_run"].items():
            if name in (peer, mark, peer.split()[0].lower()):
                return str(why) or "it failed and did not say why"
        if result["status"] != "ok":
            return f"{result['status']}: {result['message']}"
    return ""
