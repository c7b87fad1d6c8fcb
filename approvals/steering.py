"""Text in a mail that reads like instructions to a machine: what could have steered the agent that answered it.

A fixed table in several languages, without a model: it finds the usual wordings, not every one. It says nothing about
what is true of the mail, and nothing is decided by it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import islice

from policies.words import Words, words_of_phrase

# How much of one message is looked at, and how many places of it are told.
LOOKED_AT_CHARACTERS = 100_000
MOST_FOUND = 12
_WRITTEN_CHARACTERS = 160

# Words in a row: `|` between those that do, `*` for a part of a word, `~n` lets up to n others stand in between.
_IGNORE = "ignore|disregard|forget|override|bypass|discard"
_OLD = "previous|prior|above|earlier|preceding|existing|original|initial|all|your|system"
_ORDERS = "instruction*|prompt*|directive*|guideline*|programming"
_SAY = "tell|mention|inform|alert|notify|reveal|show"
_PEOPLE = "user|human*|reviewer*|supervisor*|moderator*"
_SEQUENCES = (
    # English
    f"{_IGNORE} ~3 {_OLD} ~3 {_ORDERS}",
    "you are|you're ~2 ai|llm|chatgpt|gpt*|chatbot ~1 assistant|agent|model|bot|system",
    "you are|you're ~2 language model",
    "you are|you're ~2 helpful|virtual|automated|autonomous|digital assistant|agent|bot",
    "you are|you're ~1 assistant who|that|tasked|designed|trained|and",
    "if you are|you're ~2 ai|llm|chatbot|language|automated|bot|assistant",
    "as ~1 ai|llm ~1 assistant|agent|model you",
    "note|attention|message|instruction*|important|dear ~2 ai|llm|gpt|chatbot ~1 assistant*|agent*|model*|system*|bot*",
    "instruction*|note|message to|for ~1 ai|llm*|chatbot*|assistant|language|bot",
    "system prompt",
    "reveal|print|show|repeat|output|leak ~3 system|initial|hidden|secret ~1 prompt|instruction*",
    "your ~1 new|updated|real|true|only ~1 instruction*|task|goal|objective|role is|are",
    f"do|must not {_SAY} ~5 {_PEOPLE}",
    f"don't|never {_SAY} ~5 {_PEOPLE}",
    "without ~2 human|reviewer|manual ~1 approval|review|confirmation|oversight|intervention",
    "skip|bypass|avoid ~2 human|reviewer|manual|approval ~1 approval|review|queue|check|oversight|process",
    "forward|bcc|export|leak|exfiltrate ~2 all|every|entire|whole ~3"
    " inbox|mailbox|conversation*|contact*|customer*|record*|credential*|password*|history|emails|messages ~4 to",
    "pretend you are|you're",
    "pretend to be ~2 ai|assistant|developer|administrator",
    "from now on you are|act|obey",
    "do anything now",
    # German
    "ignoriere|ignorieren|vergiss|vergessen|missachte|missachten|uberschreibe ~3"
    " vorherige*|bisherige*|obige*|vorige*|fruhere*|alle|deine ~3 anweisung*|instruktion*|vorgabe*|prompt*|befehl*",
    "du bist ~3 ki|sprachmodell|chatbot|assistent|assistenzsystem|agent",
    "sie sind ~2 ki|sprachmodell|chatbot",
    "hinweis|anweisung*|nachricht fur|an ~1 ki|sprachmodell*|chatbot*|assistenten",
    "ohne ~2 menschliche*|manuelle* ~1 freigabe|prufung|kontrolle|genehmigung",
    "systemprompt*",
    "sage|sag|erwahne|verrate|melde ~4 nutzer|benutzer|prufer|menschen|prufern ~3 nicht|nichts",
    "leite ~2 alle|gesamte* ~4 an ~4 weiter",
    # French
    "ignore|ignorez|oublie|oubliez ~3 instruction*|consigne*|directive* ~2 precedente*|anterieure*|ci",
    "ignore|ignorez|oublie|oubliez ~1 toutes|vos|tes ~2 instruction*|consigne*|directive*",
    "tu|vous es|etes ~2 ia|chatbot",
    "tu|vous es|etes ~2 modele ~2 langage|conversationnel*",
    "tu|vous es|etes ~2 assistant* ~1 ia|virtuel*|automatise*",
    "sans ~1 validation|approbation|verification|controle humaine|humain|manuelle",
    "ne dis|dites|mentionne|mentionnez ~4 utilisateur|relecteur|humain|operateur",
    # Spanish and Portuguese
    "ignora|ignore|ignoren|olvida|olvide ~3 instrucciones ~2 anteriores|previas",
    "ignora|ignore|ignoren|olvida|olvide ~1 todas ~2 instrucciones",
    "eres ~2 asistente|agente|modelo ~2 ia|virtual|lenguaje|inteligencia",
    "usted es ~2 asistente|agente|modelo ~2 ia|virtual|lenguaje|inteligencia",
    "sin ~1 aprobacion|revision|confirmacion humana|manual",
    "ignore|ignora|esqueca|desconsidere ~3 instrucoes ~2 anteriores|previas",
    "ignore|ignora|esqueca|desconsidere ~1 todas ~2 instrucoes",
    "voce e ~2 assistente|agente|modelo ~2 ia|virtual|linguagem|inteligencia",
    "sem ~1 aprovacao|revisao|confirmacao humana|manual",
    # Italian
    "ignora|ignori|ignorate|dimentica ~3 istruzioni ~2 precedenti|sopra",
    "ignora|ignori|ignorate|dimentica ~1 tutte ~2 istruzioni",
    "sei|siete ~2 assistente|agente|modello ~2 ia|ai|virtuale|linguistico|intelligenza",
    "senza ~1 approvazione|revisione|conferma umana|manuale",
    # Dutch
    "negeer|vergeet ~3 vorige|eerdere|alle|bovenstaande|voorgaande|jouw ~2 instructie*|opdracht*|aanwijzing*|prompt*",
    "je|jij|u bent ~2 ai|taalmodel|chatbot",
    "zonder ~1 menselijke|handmatige ~1 goedkeuring|controle|beoordeling",
    # Polish, Russian
    "zignoruj|ignoruj|zapomnij ~3 poprzednie|wszystkie|wczesniejsze ~3 instrukcje|polecenia|instrukcjach",
    "игнорируй|игнорируите|забудь|забудьте ~3 предыдущие|все|прежние ~3 инструкции|указания|команды",
)
# What one writes about one's own earlier mail: no machine is meant.
_OWN = frozenset(
    """my our mine mein meine meinen meiner unsere unseren unserer mes nos mon mis nuestras minhas nossas mie nostre
    mijn onze moje nasze мои наши""".split()  # noqa: SIM905
)
# How programs mark who speaks, and languages that write without spaces.
_MARKS = re.compile(
    r"""<\|(?:im_start|im_end|system|assistant|user|endoftext|begin_of_text|start_header_id)\|>|\[/?INST\]|<</?SYS>>"""
    r"""|</?(?:system|system_prompt|instructions|assistant)>|"role"\s{0,5}:\s{0,5}"(?:system|assistant|developer)\""""
    r"""|^\s{0,10}\#{2,4}\s{0,3}(?:system|instructions?|assistant)\s{0,3}(?::|$)"""
    r"""|^\s{0,10}(?:system|assistant|developer)\s{0,3}:\s{0,3}you\b"""
    r"""|\bBEGIN\s(?:SYSTEM|HIDDEN|NEW)\s(?:PROMPT|INSTRUCTIONS)\b"""
    r"""|忽略[^。\n]{0,8}(?:指令|指示|说明|提示|命令)|無視[^。\n]{0,4}(?:指示|命令)|(?:指示|命令)[^。\n]{0,4}無視"""
    r"""|(?:이전|위의|모든)[^.\n]{0,6}지시[^.\n]{0,6}무시""",
    re.IGNORECASE | re.MULTILINE,
)
_HANDS_ON = re.compile(
    r"\b(?:forward|redirect)\s{1,3}(?:this|it|everything|them|all)\b[^.!?\n]{0,60}?\bto\b[^.!?\n]{0,40}?"
    r"(?<![\w.+-])[\w.+-]{1,64}@((?:[\w-]{1,63}\.){1,6}[a-z]{2,24})",
    re.IGNORECASE,
)
_ACTS = re.compile(
    r"\b(?:forward|send|bcc|cc|copy|reply|transfer|refund|approve|include|click|weiterleiten|leite|sende|transferez"
    r"|envoyez|reenvia|envia|inoltra|invia|stuur)\b",
    re.IGNORECASE,
)
_ELSEWHERE = re.compile(r"[\w.+-]@[\w-]{1,63}\.\w|https?://", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class _Step:
    """One of these words, after at most `gap` others."""

    words: tuple[str, ...]
    gap: int


def instructions_in(text: str, *, from_domains: Sequence[str] = (), is_hidden: bool = False) -> list[str]:
    """The passages of a text that read like instructions to a machine, as written, each once, 12 at most.

    To pass a mail on to a domain other than those of its sender counts. Of a text that is hidden it is enough that it
    asks for something and names an address. Looks at the first `LOOKED_AT_CHARACTERS`; linear in their number.
    """
    text = text[:LOOKED_AT_CHARACTERS]
    found = [match.group().strip() for match in islice(_MARKS.finditer(text), MOST_FOUND)]
    words = Words.of(text)
    for steps in _steps():
        found += islice(_passages(words, steps), MOST_FOUND)
    found += [
        match.group()
        for match in islice(_HANDS_ON.finditer(text), MOST_FOUND)
        if match.group(1).casefold() not in from_domains
    ]
    if is_hidden and not found and _ACTS.search(text) and _ELSEWHERE.search(text):
        found.append(text)
    written = [*dict.fromkeys(one[:_WRITTEN_CHARACTERS] for one in found)]
    return [one for one in written if not any(one != other and one in other for other in written)][
        :MOST_FOUND
    ]


@cache
def _steps() -> tuple[tuple[_Step, ...], ...]:
    return tuple(map(_read, _SEQUENCES))


def _read(sequence: str) -> tuple[_Step, ...]:
    steps = []
    gap = 0
    for token in sequence.split():
        if token.startswith("~"):
            gap = int(token[1:])
            continue
        words = tuple(word for one in token.split("|") for word in words_of_phrase(one))
        steps.append(_Step(words, gap))
        gap = 0
    return tuple(steps)


def _passages(words: Words, steps: Sequence[_Step]) -> Iterator[str]:
    first, *others = steps
    starts = sorted(place for word in first.words for place in _places(words, word))
    for start in starts:
        end = _end_of(words, others, start)
        if end is not None:
            yield words.text[words.spans[start][0] : words.spans[end][1]]


def _end_of(words: Words, steps: Sequence[_Step], start: int) -> int | None:
    """Where the sequence that begins at a word ends; None when it does not stand there."""
    reached = {start}
    for step in steps:
        reached = {
            place
            for before in reached
            for place in range(before + 1, min(before + step.gap + 2, len(words.words)))
            if any(_fits(one, words.words[place]) for one in step.words)
        }
    if not reached:
        return None
    end = min(reached)
    return None if _OWN.intersection(words.words[start:end]) else end


def _places(words: Words, pattern: str) -> Sequence[int]:
    if not pattern.endswith("*"):
        return words.places.get(pattern, ())
    return [place for word, places in words.places.items() if _fits(pattern, word) for place in places]


def _fits(pattern: str, word: str) -> bool:
    return word.startswith(pattern[:-1]) if pattern.endswith("*") else word == pattern
