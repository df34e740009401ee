"""XML as a small tree of local names, read within bounds: no DOCTYPE, no entities, nothing endless."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from xml.parsers import expat

from catalog.imports.rows import File
from catalog.imports.text import label
from catalog.problems import BadFile

LARGEST = 64 << 20  # bytes of one file
MOST, DEEPEST = 500_000, 100  # elements, levels
_ROOT = re.compile(
    rb"\A(?:\xef\xbb\xbf)?\s*(?:<\?.*?\?>\s*|<!--.*?-->\s*|<!DOCTYPE[^>[]*>\s*)*<(?:[\w.-]+:)?([\w.-]+)[\s/>]",
    re.DOTALL,
)


@dataclass(slots=True)
class Node:
    """An element: its name and attributes without namespaces, its text, its line, its parent."""

    name: str
    said: dict[str, str]
    line: int
    parent: Node | None = None
    children: list[Node] = field(default_factory=list)
    text: str = ""

    def every(self, *names: str) -> Iterator[Node]:
        """This element and all below it that have one of these names, in any case."""
        wanted = {name.lower() for name in names}
        waiting = [self]
        while waiting:
            node = waiting.pop()
            if node.name.lower() in wanted:
                yield node
            waiting.extend(reversed(node.children))

    def first(self, *names: str) -> str | None:
        """The text of the first such element that has any."""
        return next((text for node in self.every(*names) if (text := node.text.strip())), None)

    def child(self, name: str) -> str | None:
        """The text of a direct child, or None."""
        return next((c.text.strip() or None for c in self.children if c.name == name), None)

    def within(self, name: str) -> Node | None:
        """The nearest element around this one with a name."""
        node = self.parent
        while node is not None and node.name.lower() != name.lower():
            node = node.parent
        return node


def root_of(beginning: bytes) -> str:
    """The local name of the first element of an XML file, or ""."""
    found = _ROOT.match(beginning)
    return found[1].decode("ascii", "replace") if found else ""


def tree(file: File) -> Node:
    """The root element. Raises BadFile for what is no whole XML or beyond the bounds."""
    made = _Making(file)
    try:
        with file.open() as stream:
            read = 0
            while part := stream.read(1 << 16):
                read += len(part)
                if read > LARGEST:
                    raise BadFile(f"{label(file)}: larger than {LARGEST:,} bytes")
                made.parser.Parse(part, False)
            made.parser.Parse(b"", True)
    except expat.ExpatError as error:
        why = expat.ErrorString(error.code)
        raise BadFile(f"{label(file)}: damaged at line {error.lineno} ({why}); is it cut off?") from error
    except (LookupError, ValueError) as error:
        raise BadFile(f"{label(file)}: it is in an encoding that cannot be read ({error})") from error
    if made.root is None:
        raise BadFile(f"{label(file)}: it is empty")
    return made.root


class _Making:
    def __init__(self, file: File) -> None:
        self.root: Node | None = None
        self._file, self._open, self._count = label(file), [], 0  # type: ignore[var-annotated]
        self.parser = expat.ParserCreate(namespace_separator="\n")
        self.parser.buffer_text = True
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.CharacterDataHandler = self._text
        self.parser.StartDoctypeDeclHandler = self._doctype

    def _start(self, name: str, said: dict[str, str]) -> None:
        self._count += 1
        if self._count > MOST or len(self._open) >= DEEPEST:
            raise BadFile(f"{self._file}: more than {MOST:,} elements, or {DEEPEST} levels")
        around = self._open[-1] if self._open else None
        attributes = {key.rpartition("\n")[2]: value for key, value in said.items()}
        node = Node(name.rpartition("\n")[2], attributes, self.parser.CurrentLineNumber, around)
        if around is None:
            self.root = node
        else:
            around.children.append(node)
        self._open.append(node)

    def _end(self, name: str) -> None:
        del name
        self._open.pop()

    def _text(self, text: str) -> None:
        self._open[-1].text += text

    def _doctype(self, *about: object) -> None:
        del about
        raise BadFile(f"{self._file}: it has a DOCTYPE, which is not read; remove it if the file is trusted")
