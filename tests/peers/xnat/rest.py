"""Which address answers what: `/data` (also `/REST`, `/data/archive`) and `/xapi`."""

from __future__ import annotations

import asyncio
import json
import re
from typing import TYPE_CHECKING

from aiohttp import web
from peers.qido.searching import ROOT as QIDO
from peers.qido.server import QidoServer
from peers.xnat import files, listings, render, schema
from peers.xnat.accounts import Who, Wrong
from peers.xnat.listings import Asked, Refused, Table
from peers.xnat.model import Session
from peers.xnat.search import DISPLAY, DISPLAY_SUBJECT, search

from fixtures.dicom import Holding

if TYPE_CHECKING:
    from peers.xnat.server import XnatServer

_ROOTS = re.compile(r"/(data/archive|data|REST)(?=/)")
_MEDIA = {"zip": "application/zip", "tar.gz": "application/x-gzip"}


class Rest:
    """Answers requests for a server, whose knobs it heeds."""

    def __init__(self, server: XnatServer) -> None:
        self._server = server

    async def answer(self, request: web.Request, path: str, who: Who, token: str) -> web.Response:
        """The reply. Raises Refused and SqlError."""
        if path == "/":
            return web.Response(text=render.front_page(who), content_type="text/html")
        if path.startswith("/app/"):
            return web.Response(text=render.LOGIN_PAGE, content_type="text/html")
        if path.startswith("/xapi/"):
            return await self._xapi(path.split("/")[2:], request, who)
        words = _ROOTS.sub("", path, count=1).strip("/").split("/")
        if words[0] in ("JSESSION", "auth", "services", "version"):
            return await self._account(request, words, who, token)
        if words[0] == "search":
            return await self._search(request, words, who)
        if request.method != "GET":
            raise Refused(405, "Method Not Allowed")
        return self._archive(request, words, who)

    def asked(self, request: web.Request, who: Who) -> Asked:
        """The question of a listing, as this version of XNAT understands it."""
        drops = self._server.drops
        params = dict(request.query)
        if drops and "columns" in params:
            params["columns"] = ",".join(c for c in params["columns"].split(",") if c not in drops)
        pages = tuple(int(n) for n in self._server.version.split(".")) >= (1, 8, 9)
        return Asked(self._server.site, who, params, pages, not self._server.ignores_filters)

    async def _account(self, request: web.Request, words: list[str], who: Who, token: str) -> web.Response:
        accounts = self._server.accounts
        if words == ["JSESSION"] and request.method == "DELETE":
            accounts.close(token)
            return web.Response(text="")
        if words == ["JSESSION"]:
            return web.Response(text=token)
        if words == ["auth"]:
            return web.Response(text=f"User '{who or 'guest'}' is logged in")
        if words == ["services", "auth"] and request.method in ("PUT", "POST"):
            form = await request.post()
            try:
                made = accounts.open(accounts.check(str(form.get("username")), str(form.get("password"))))
            except Wrong as error:
                raise Refused(401, str(error)) from error
            cookie = f"JSESSIONID={made}; Path={self._server.context or '/'}; HttpOnly"
            return web.Response(text=made, headers={"Set-Cookie": cookie})
        if words == ["version"]:  # gone since 1.7: nothing of XNAT answers, but the servlet container
            page = "<!doctype html><html><head><title>HTTP Status 404 - Not Found</title></head></html>"
            return web.Response(status=404, text=page, content_type="text/html")
        if words == ["services", "tokens", "issue"] and who is not None:
            return web.json_response(accounts.issue(who))
        raise Refused(404, "Not Found")

    async def _xapi(self, words: list[str], request: web.Request, who: Who) -> web.Response:
        if words == ["siteConfig", "buildInfo"]:
            return web.json_response({"version": self._server.version, "buildNumber": "1", "commit": "0"})
        if words == ["siteConfig", "uptime"]:
            return web.json_response({"days": 0, "hours": 1})
        if words == ["schemas"]:
            return web.json_response(list(schema.SCHEMAS))
        if words[0] == "schemas" and "/".join(words[1:]) in schema.SCHEMAS:
            await asyncio.sleep(self._server.xsd_latency)
            return web.Response(text=schema.SCHEMAS["/".join(words[1:])], content_type="application/xml")
        if words[:2] == ["access", "projects"]:
            readable = {p.id for p in self._server.site.readable(who)}
            return web.json_response([{"ID": name, "role": "Collaborators"} for name in sorted(readable)])
        if words[:2] == ["dicomweb", "projects"] and self._server.dicomweb and len(words) > 3:
            return self._qido(request, words[2], words[3:], who)
        if words == ["users"]:
            raise Refused(403, "Forbidden")
        raise Refused(404, "Not Found")

    def _qido(self, request: web.Request, project: str, rest: list[str], who: Who) -> web.Response:
        """The DICOMweb plug-in: the studies of one project, as an honest QIDO-RS server tells them."""
        held = listings.project_of(self.asked(request, who), project).id
        studies = [
            _holding(s) for s in self._server.site.sessions if s.project == held and s.uid[:1].isdigit()
        ]
        query = request.raw_path.partition("?")[2]
        status, body = QidoServer(studies).reply(f"{QIDO}/{'/'.join(rest)}?{query}")
        return web.Response(status=status, body=body, content_type="application/dicom+json")

    async def _search(self, request: web.Request, words: list[str], who: Who) -> web.Response:
        if words[:2] == ["search", "elements"] and len(words) == 2:
            counts: dict[str, int] = {}
            for session in self._server.site.visible(who):
                counts[session.xsi] = counts.get(session.xsi, 0) + 1
            return self._table(request, schema.elements(counts, self._server.extra_elements))
        if words[:2] == ["search", "elements"]:
            await asyncio.sleep(self._server.field_latency)
            names = list(DISPLAY_SUBJECT if words[2] == "xnat:subjectData" else DISPLAY)
            readable = self._server.site.readable(who)
            return self._table(request, schema.element_fields(words[2], names, readable))
        if words != ["search"] or request.method != "POST":
            raise Refused(404, "Not Found")
        if self._server.block_search:
            page = "<html><head><title>403 Forbidden</title></head><body>Request blocked.</body></html>"
            return web.Response(
                status=403, text=page, content_type="text/html", headers={"Server": "awselb/2.0"}
            )
        return self._table(request, search(self.asked(request, who), await request.read()))

    def _archive(self, request: web.Request, words: list[str], who: Who) -> web.Response:
        """`projects/P/subjects/S/experiments/E/scans/...`, each part of it optional."""
        named = dict(zip(words[::2], words[1::2], strict=False))
        last = words[-1] if len(words) % 2 else None
        asked = self.asked(request, who)
        project, subject = named.get("projects"), named.get("subjects")
        if "experiments" in named:
            session = asked.site.session(named["experiments"], project, who)
            if session is None:
                raise Refused(404, "Unable to find the specified experiment.")
            return self._of_session(request, session, named, last, asked)
        if last == "projects":
            return self._table(request, listings.projects(asked))
        if last == "subjects":
            return self._table(request, listings.subjects(asked, project))
        if last == "experiments":
            return self._table(request, listings.experiments(asked, project, subject))
        if last in ("scan_types", "scanners", "resources", "files", "assessors"):
            return self._table(request, Table([], [], last, 0))
        return self._item(request, asked, project, subject)

    def _item(
        self, request: web.Request, asked: Asked, project: str | None, subject: str | None
    ) -> web.Response:
        if subject is not None:
            for known in asked.site.visible_subjects(asked.user):
                if subject in (known.id, known.label):
                    return self._items(request, render.subject(known))
        elif project is not None:
            return self._items(request, render.project(listings.project_of(asked, project)))
        raise Refused(404, "Not Found")

    def _of_session(
        self, request: web.Request, session: Session, named: dict[str, str], last: str | None, asked: Asked
    ) -> web.Response:
        if "scans" not in named:
            if last == "scans":
                return self._table(request, listings.scans(session, asked))
            if last in ("resources", "assessors", "files", "reconstructions"):
                return self._table(request, Table([], [], last, 0))
            return self._items(request, render.session(session), session.history)
        scans = files.scans_named(session, named["scans"])
        if not scans:
            raise Refused(404, "Unable to find the specified scan.")
        if last == "resources":
            return self._table(request, files.resources(scans))
        if last == "files":
            return self._files(request, files.held(session, scans, named.get("resources")))
        if "files" in named:
            found = files.held(session, scans, named["resources"])
            body = next((f.content for *_, f in found if f.name == named["files"]), None)
            if body is None:
                raise Refused(404, "File not found")
            return web.Response(body=body, content_type="application/octet-stream")
        if "resources" in named:  # a catalog in XML, whatever form is asked for
            files.resource_named(scans[0], named["resources"])
            return web.Response(text=files.CATALOG, content_type="application/xml")
        return self._items(request, render.scan(scans[0], session))

    def _files(self, request: web.Request, found: list[files.Held]) -> web.Response:
        form = request.query.get("format", "json")
        if form in _MEDIA:
            return web.Response(body=files.packed(found, form), content_type=_MEDIA[form])
        return self._table(request, files.listing(found))

    def _items(self, request: web.Request, item: render.Item, history: int = 0) -> web.Response:
        """Items are HTML where no form is asked for."""
        form = request.query.get("format", "html")
        if form == "json":
            return web.Response(text=render.items(item, history), content_type="application/json")
        if form == "xml":
            kind = item["meta"]["xsi:type"].partition(":")[2]
            name = item["data_fields"].get("ID", "")
            text = f'<xnat:{kind} xmlns:xnat="http://nrg.wustl.edu/xnat" ID="{name}"/>'
            return web.Response(text=text, content_type="text/xml")
        return web.Response(text=f"<html><body>{json.dumps(item)}</body></html>", content_type="text/html")

    def _table(self, request: web.Request, table: Table) -> web.Response:
        """A table, with the faults that the server's knobs give it."""
        server = self._server
        if server.short and re.search(server.only, request.path):
            table.rows = table.rows[: -server.short]
        text, kind = render.table(table, request.query.get("format", "json"), server.header_fault)
        body = text.encode(server.encoding, errors="replace")
        if server.truncated and re.search(server.only, request.path):
            body = body[: len(body) // 2]
        # compressed here: threads of aiohttp's would look as if a client had left them
        reply = web.Response(body=body, content_type=kind, zlib_executor_size=len(body) + 1)
        if server.gzip:
            reply.enable_compression()
        return reply


def _holding(session: Session) -> Holding:
    """A session in DICOM's words."""
    digits = str.maketrans("", "", "-:")
    study = {
        "StudyInstanceUID": session.uid, "PatientID": session.patient_id, "PatientName": session.patient_name,
        "StudyDate": session.date.translate(digits), "StudyDescription": session.session_type,
    }  # fmt: skip
    series = [
        {"SeriesInstanceUID": s.uid, "Modality": s.modality, "SeriesDescription": s.series_description}
        for s in session.scans
    ]
    return {"study": dict(study), "series": [dict(row) for row in series]}
