"""What a run prints."""

from __future__ import annotations

from tests.campaign.run import Tally

SHOWN = 10


def text(tally: Tally, *, count: int, seed: int) -> str:
    findings = tally.findings
    lines = [f"campaign: {count} mails, seed {seed}, {tally.seconds:.0f} s"]
    for name, found in findings.faults().items():
        lines.append(f"  {len(found):6}  {name}")
        lines.extend(f"          {entry}" for entry in found[:SHOWN])
    lines.append(f"  {tally.forged_taken:6}  forged events taken")
    lines.append(f"  {findings.unknown:6}  unknown, shown to a person")
    lines.append(f"  {findings.found:6}  resolved by look-up or event")
    lines.append(f"  {findings.accepted_by_provider:6}  accepted by the provider")
    lines.append(
        "  sends: " + ", ".join(f"{number} {state}" for state, number in sorted(findings.states.items()))
    )
    lines.append("  done: " + ", ".join(f"{number} {name}" for name, number in sorted(tally.done.items())))
    return "\n".join(lines) + "\n"
