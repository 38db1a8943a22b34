"""Why a segment was found, in a plain sentence: what must be done to it, and what spoke for it."""

from collections.abc import Mapping

from mashjax.library.comparing import Match
from mashjax.library.rules import Rules
from mashjax.library.segments import Segment

SAME_TEMPO = 0.5  # percent of stretch that nobody hears
SAID = 2  # reasons

# (of a lead over this backing, of a backing under this lead)
_SAY = {
    "harmony": ("the chords agree beat by beat",) * 2,
    "chords": ("the chords change together",) * 2,
    "rhythm": ("its drums fall where yours do", "it moves with your beat"),
    "spectrum": ("it leaves the band of your voice free", "its voice stands out of your backing"),
    "voice": ("nobody sings against your voice", "it sings where nobody else does"),
    "key": ("the scales share their notes",) * 2,
    "loudness": ("both are equally loud",) * 2,
    "overlap": ("it lasts as long as your part",) * 2,
    "effort": ("hardly anything has to be changed",) * 2,
    "style": ("both songs are of one style",) * 2,
}


def explain(
    query: Segment,
    candidate: Segment,
    match: Match,
    *,
    rules: Rules,
    weights: Mapping[str, float],
    usual: Mapping[str, float],
) -> str:
    """One sentence. usual: the parts of the score of those compared, on average: what raised a
    match above them is what decided."""
    gain = {part: weights[part] * (match.parts[part] - usual[part]) for part in match.parts}
    best = sorted((part for part in gain if gain[part] > 0), key=lambda part: -gain[part])
    side = 0 if match.role == "lead" else 1
    said = [_SAY[part][side] for part in best[:SAID]]
    return ", ".join(
        [_tempo(query, candidate, match, rules), *_key(query, candidate, match, rules), *said]
    )


def semitones(query: Segment, candidate: Segment, match: Match) -> int:
    """The match's shift without what only corrects the tuning."""
    return round(match.shift_semitones - (query.tuning_cents - candidate.tuning_cents) / 100)


def _tempo(query: Segment, candidate: Segment, match: Match, rules: Rules) -> str:
    played = candidate.tempo_bpm / (1 + match.stretch_percent / 100)
    rows = rules.tempo
    say = min(rows, key=lambda row: abs(played * row["times"] / query.tempo_bpm - 1))["say"]
    percent = abs(match.stretch_percent)
    if percent < SAME_TEMPO:
        return say
    how = "slower" if match.stretch_percent > 0 else "faster"
    return f"{say} once it is played {percent:.1f} % {how}"


def _key(query: Segment, candidate: Segment, match: Match, rules: Rules) -> list[str]:
    moved = semitones(query, candidate, match)
    relation = rules.relation(query, candidate, semitones=moved)
    if not moved:
        return [relation] if relation else []
    by = f"{abs(moved)} semitone{'s' if abs(moved) > 1 else ''} {'up' if moved > 0 else 'down'}"
    return [f"{relation} once it is moved {by}" if relation else f"moved {by}"]
