"""Every page for students is whole in every language, and a reader gets the one they chose or their browser asks for."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import jinja2.ext
import pytest
from babel.messages import Catalog, Message
from babel.messages.extract import extract
from babel.messages.pofile import read_po, write_po

from grader.archives import pack
from grader.models import Report
from hub.portal.languages import LOCALE_FOLDER, Languages, LanguagesRefused, ngettext, speaking
from hub.portal.render import HERE, is_translated
from hub.settings import PortalSettings

CODES = sorted(file.stem for file in LOCALE_FOLDER.glob("*.po"))
# What is a message: the field's own names (a trans block counts as gettext), the sentence of a refused receipt or
# question, the stage of a server's start.
KEYWORDS: dict[str, Any] = {
    "_": None,
    "gettext": None,
    "later": None,
    "ngettext": (1, 2),
    "ReceiptRefused": None,
    "QuestionRefused": None,
    "stage": (2,),
}
JINJA = {
    "trimmed": "true",
    "newstyle_gettext": "true",
    "trim_blocks": "true",
    "lstrip_blocks": "true",
    "silent": "false",
}
FRAME = {"base.html", "parts.html"}
INSTRUCTORS_PAGES = {  # English as a whole, so far
    "again.html",
    "administration.html",
    "announcements.html",
    "course.html",
    "grading.html",
    "inquiries.html",
    "inquiry.html",
    "insight_course.html",
    "insight_wait.html",
    "insight_lab.html",
    "marking.html",
    "log.html",
    "now.html",
    "people.html",
    "person.html",
    "person_fields.html",
    "preview.html",
    "release.html",
    "release_list.html",
    "remove.html",
    "roster.html",
    "stop.html",
    "student.html",
    "withdraw.html",
}
INSTRUCTORS_MODULES = {  # only instructors and operators read what these say
    "__main__.py",
    "api/questions.py",  # programs do
    "attention.py",
    "audit.py",
    "classnow.py",
    "insight.py",
    "jobs.py",
    "machine.py",
    "health.py",  # programs do
    "mailings.py",
    "metrics.py",  # programs do
    "progress.py",
    "pages/administration.py",
    "pages/announcements.py",  # a student's page has no form
    "pages/grading.py",
    "pages/inquiries.py",
    "pages/insight.py",
    "pages/instructor.py",
    "pages/marking.py",
    "pages/now.py",
    "pages/people.py",
    "pages/release.py",
    "releaseform.py",
    "releasing.py",
}
SCRIPT = "<script>alert(1)"
XSS = f"{SCRIPT}</script><img src=x onerror=alert(2)>"  # in what alice asked


def messages(root: Path) -> set[str | tuple[str, ...]]:
    """Every message of the templates and modules that students read."""
    found: set[str | tuple[str, ...]] = set()

    def read(method: Any, files: Iterable[Path], options: dict[str, str]) -> None:
        for file in files:
            with file.open("rb") as stream:
                for _line, message, _comments, _context in extract(
                    method, stream, keywords=KEYWORDS, options=options
                ):
                    found.add(message)

    portal = root / "hub" / "portal"
    read(jinja2.ext.babel_extract, (portal / "templates").glob("*.html"), JINJA)
    read("python", portal.rglob("*.py"), {})
    read(
        "python",
        [root / "hub" / "needs.py", *(root / "grader" / f"{name}.py" for name in ("receipts", "questions"))],
        {},
    )
    read("python", (root / "hub" / "spawners").glob("*.py"), {})
    return found


def catalogue(code: str) -> Catalog:
    with (LOCALE_FOLDER / f"{code}.po").open("rb") as stream:
        return read_po(stream, locale=code)


def forms(message: Message) -> tuple[str, ...]:
    return message.string if isinstance(message.string, tuple) else (message.string,)


def marks(text: str) -> list[str]:
    """Placeholders and tags, in alphabetical order: a translation may move them."""
    return sorted(re.findall(r"%\(\w+\)s|</?\w+[^>]*>", text))


@pytest.mark.parametrize("code", CODES)
def test_a_catalogue_translates_every_message_and_no_other(root: Path, code: str) -> None:
    kept = {message.id: message for message in catalogue(code) if message.id}

    assert not messages(root) - set(kept), "missing"
    assert not set(kept) - messages(root), "no longer said"
    assert not [message.id for message in kept.values() if message.fuzzy], "fuzzy"
    assert not [
        message.id for message in kept.values() if not all(form.strip() for form in forms(message))
    ], "empty"


@pytest.mark.parametrize("code", CODES)
def test_a_translation_keeps_placeholders_and_markup(code: str) -> None:
    for message in catalogue(code):
        if isinstance(message.id, tuple):
            # a form for one thing, or for none, may do without the number
            assert all(set(marks(form)) <= set(marks(message.id[1])) for form in forms(message)), message.id
        elif message.id:
            isolated = re.sub(r"<bdi>([\w ]+)</bdi>", r"\1", str(message.string))
            assert marks(isolated) == marks(message.id), message.id


def test_every_page_is_translated_or_an_instructors() -> None:
    pages = {file.name for file in (HERE / "templates").glob("*.html")} - FRAME

    assert {page for page in pages if not is_translated(page)} == INSTRUCTORS_PAGES


def bare(node: ast.AST) -> Iterator[str]:
    """Sentences below `node` that no catalogue has."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("_", "later"):
        return
    if isinstance(node, ast.Constant) and isinstance(node.value, str) and " " in node.value:
        yield node.value
    for child in ast.iter_child_nodes(node):
        yield from bare(child)


def test_no_error_or_notice_for_students_is_a_bare_string() -> None:
    found = []
    for file in HERE.rglob("*.py"):
        if file.relative_to(HERE).as_posix() in INSTRUCTORS_MODULES:
            continue
        tree = ast.parse(file.read_text(encoding="utf-8"))
        programs = {  # what the API says is for programs
            id(each)
            for function in ast.walk(tree)
            if isinstance(function, ast.FunctionDef) and function.name == "_caller"
            for each in ast.walk(function)
        }
        for node in ast.walk(tree):
            told: list[ast.AST] = []
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and id(node) not in programs:
                if node.func.id in ("HTTPException", "HubError", "HubAway", "NotAllowed"):
                    told = [*node.args, *node.keywords]
            elif isinstance(node, ast.Assign) and any(
                isinstance(target, ast.Attribute) and target.attr == "notice" for target in node.targets
            ):
                told = [node.value]
            found += [f"{file.name}: {text}" for each in told for text in bare(each)]

    assert not found


class Visible(HTMLParser):
    """Text of a page that is neither data nor within ⟦ ⟧."""

    DATA = frozenset({"code", "pre", "time", "data", "bdi", "script", "textarea", "option"})
    VOID = frozenset({"meta", "link", "img", "input", "br"})
    SPOKEN = ("aria-label", "title", "alt", "placeholder")

    def __init__(self, page: str, data: Iterable[str] = ()) -> None:
        super().__init__()
        self._data = ("Test Academy", "SHA-256", *data)
        self.untranslated: list[str] = []
        self._open: list[bool] = []  # for each open element, whether it holds data
        self._depth = 0
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        for name in self.SPOKEN:
            if values.get(name) and not re.fullmatch(r"⟦.*⟧", values[name] or "", re.S):
                self.untranslated.append(f"{tag} {name}={values[name]}")
        if tag not in self.VOID:
            self._open.append(
                tag in self.DATA or values.get("dir") == "auto" or values.get("class") == "brand"
            )

    def handle_endtag(self, tag: str) -> None:
        self._open.pop()

    def handle_data(self, data: str) -> None:
        for known in self._data:
            data = data.replace(known, "")
        for part in re.split(r"([⟦⟧])", data):
            self._depth += {"⟦": 1, "⟧": -1}.get(part, 0)
            if not self._depth and not any(self._open) and re.search(r"\w*[^\W\d_]\w*", part):
                self.untranslated.append(part.strip())


@pytest.fixture
def marked(root: Path, tmp_path: Path) -> Languages:
    """English and a language (its file says Esperanto) that puts every message into ⟦ ⟧."""
    made = Catalog(locale="eo")
    for message in messages(root):
        made.add(
            message,
            tuple(f"⟦{form}⟧" for form in message) if isinstance(message, tuple) else f"⟦{message}⟧",
        )
    folder = tmp_path / "locale"
    folder.mkdir()
    with (folder / "eo.po").open("wb") as stream:
        write_po(stream, made)
    return Languages(folder=folder)


def students_pages(school: Any, browser: Any) -> dict[str, str]:
    """Every page a student meets, as a browser of theirs shows it."""
    receipt = browser.get(f"submissions/{school.alices.id}/receipt.txt").text
    return {
        "home": browser.get().text,
        "catalogue": browser.get("catalogue").text,
        "lab": browser.get("labs/ict101/lab-one").text,
        "untouched lab": browser.get("labs/ict101/lab-two").text,
        "lab of the catalogue": browser.get("labs/ict101/net-vlans").text,
        "receipt": browser.get(f"submissions/{school.alices.id}/receipt").text,
        "progress": browser.get("progress").text,
        "announcements": browser.get("courses/ict101/announcements").text,
        "feedback": browser.get(f"feedback/{school.alices.id}").text,
        "questions": browser.get("courses/ict101/questions").text,
        "no question": browser.get("courses/ict101/questions?q=nothing").text,
        "ask": browser.get("courses/ict101/questions/new").text,
        "not asked": browser.post("courses/ict101/questions/new", title="x", about="x").text,
        "question": browser.get(f"courses/ict101/questions/{school.asked}").text,
        "empty answer": browser.post(f"courses/ict101/questions/{school.asked}", text=" ").text,
        "verify": browser.get("receipts/verify").text,
        "valid": browser.post("receipts/verify", receipt=receipt).text,
        "not valid": browser.post("receipts/verify", receipt="ICT1.a.b").text,
        "no receipt": browser.post("receipts/verify", receipt="hello").text,
        "not running": browser.get("starting/data?course=ict101&lab=lab-one").text,
        "error": browser.get("no/such/page").text,
        "no reason": browser.post(f"feedback/{school.alices.id}/inquiries", exercise="split").text,
        "long reason": browser.post(f"feedback/{school.alices.id}/inquiries", reason="x" * 2001).text,
        "no exercise": browser.post(
            f"feedback/{school.alices.id}/inquiries", exercise="none", reason="x"
        ).text,
        "asked already": browser.post(
            f"feedback/{school.alices.id}/inquiries", exercise="mask", reason="x"
        ).text,
        "refused": browser.post("servers/base/stop", csrf="wrong").text,
    }


def fill(school: Any) -> None:
    """Labs of the catalogue, an announcement, a weak outcome, and a newer submission of another lab.

    One of the labs cannot be done quickly on this server.
    """
    school.store.submit("ict101", "lab-one", "alice", b"PK later")
    school.store.announce("ict101", f"Exam {SCRIPT}", f"On Friday {SCRIPT}", by="teacher")
    inquiry = school.store.inquiries_about(school.alices.id)[0][0].id  # with every step there is
    school.store.answer_inquiry(inquiry, by="teacher", text=f"It is. {SCRIPT}", points=(8, 9))
    school.store.close_inquiry(inquiry, by="alice")
    school.store.reopen_inquiry(inquiry, by="alice", reason=f"Thank you {SCRIPT}")
    school.store.answer_inquiry(inquiry, by="teacher", text="Gladly.")
    marked = school.store.blob(school.store.feedback_of(school.alices.id).sha256).read_bytes()
    told = [
        {"exercise": name, "points": 9, "max_points": 10, "message": "", "by_hand": True, "comment": SCRIPT}
        for name in ("split", "mask")
    ]
    school.store.release_feedback(school.alices.id, marked, "teacher", 18, 20, exercises=told)
    weak(school)
    school.store.release(
        "ict101",
        "net-vlans",
        pack({"net-vlans.ipynb": b"{}"}),
        title="VLANs",
        environment="network",
        max_points=1,
        by="teacher",
        due_at=None,
    )
    folder = school.settings.places.run
    folder.mkdir(parents=True, exist_ok=True)
    features = dict.fromkeys(("netns", "veth"), "yes") | {"vlan": "emulated", "vlan-bridge": "emulated"}
    kept = {
        "network": {"where": "here", "features": features},
        "base": {"where": "here", "features": {"acl": "no"}},
    }
    (folder / "offers.json").write_text(json.dumps(kept), encoding="utf-8")


def weak(school: Any) -> None:
    """A lab of the catalogue that alice did badly, with its feedback."""
    store = school.store
    store.release(
        "ict101",
        "net-subnetting",
        pack({"net-subnetting.ipynb": b"{}"}),
        title="Subnetting",
        environment="base",
        max_points=33,
        by="teacher",
        due_at=None,
    )
    hers = store.submit("ict101", "net-subnetting", "alice", pack({"net-subnetting.ipynb": b"{}"}))
    job, _ = store.open_job("ict101", "net-subnetting", "teacher")
    store.start_job(job.id)
    store.plan_items(job.id, [hers])
    report = Report(
        submission_id=hers.id, job_id=job.id, state="graded", points=2.5, max_points=10.0,
        exercises=[{"exercise": "read", "points": 2.5, "max_points": 10.0, "message": ""}],
        message="", release_sha256="0" * 64, notebooks={}, graded_at=datetime.now(UTC), in_gradebook_at=None,
    )  # fmt: skip
    store.items_finished(job.id, [(report, "w")])
    store.mark_in_gradebook([hers.id])
    store.finish_job(job.id, "done")
    store.release_feedback(hers.id, pack({"a.html": b"<p>"}), "teacher", points=2.5, max_points=10)


def test_no_text_on_a_students_page_stands_outside_of_a_translation(
    visit: Any, school: Any, tiny_hub: Any, marked: Languages
) -> None:
    fill(school)
    tiny_hub.servers = {"base": {"ready": True}, "network": {"pending": "stop"}}
    alice = visit("alice", mode="process", languages=marked)
    alice.client.headers["Accept-Language"] = "eo"

    pages = students_pages(school, alice)
    tiny_hub.servers = {}
    tiny_hub.events = ['data: {"progress": 5, "message": "Preparing your home"}\n\n']
    begun = alice.post("labs/ict101/lab-one/start").headers["location"]
    pages["starting"] = alice.client.get(begun).text
    for name in ("nobody", "teacher"):
        other = visit(name, languages=marked)
        other.client.headers["Accept-Language"] = "eo"
        pages[name] = other.get().text
        pages[f"progress of {name}"] = other.get("progress").text

    authored = [release.title for release in school.store.releases("ict101")]
    authored += ["ipv4.prefix", f"Why a mask of 26 bits? {XSS}"]
    found = {name: Visible(page, authored).untranslated for name, page in pages.items()}
    assert {name: texts for name, texts in found.items() if texts} == {}
    assert [name for name, page in pages.items() if '<html lang="eo" dir="ltr">' not in page] == []
    assert "⟦Preparing your home⟧" in pages["starting"]
    assert "⟦There is no such page.⟧" in pages["error"]


def test_a_failed_start_is_told_in_the_readers_language(visit: Any, tiny_hub: Any, marked: Languages) -> None:
    tiny_hub.start_status, tiny_hub.start_message = 500, "No room."
    alice = visit("alice", languages=marked)
    alice.client.headers["Accept-Language"] = "eo"

    alice.post("labs/ict101/lab-one/start")
    page = alice.get("starting/base?course=ict101&lab=lab-one").text

    assert "⟦Your server did not start⟧" in page
    assert Visible(page).untranslated == []


@pytest.mark.parametrize(
    ("accepted", "tag"),
    [
        ("fr-CA,fr;q=0.9,en;q=0.5", "fr"),
        ("es-419", "es"),
        ("ar-EG, en;q=0.1", "ar"),
        ("zh", "zh-Hans"),
        ("zh-CN,zh;q=0.9", "zh-Hans"),
        ("zh-Hans", "zh-Hans"),
        ("zh-hans-sg", "zh-Hans"),
        ("zh-TW", "zh-Hans"),  # nearer than English
        ("en;q=0.3, ar;q=0.8", "ar"),
        ("de, en-US;q=0.7, fr;q=0.3", "en"),
        ("fr;q=0, es", "es"),
        ("de", "en"),
        ("*", "en"),
        ("", "en"),
        (";;q=x,%%%,fr;q=nan,-", "en"),
    ],
)
def test_the_browsers_wish_chooses_the_language(accepted: str, tag: str) -> None:
    assert Languages().choose("", accepted).tag == tag


def test_the_setting_is_for_browsers_that_ask_for_nothing_there_is(visit: Any, school: Any) -> None:
    school.settings = school.settings.model_copy(update={"portal": PortalSettings(language="ar")})
    alice = visit("alice")

    assert '<html lang="ar" dir="rtl">' in alice.get().text
    assert '<html lang="ar" dir="rtl">' in alice.get(headers={"Accept-Language": "de"}).text
    assert '<html lang="fr" dir="ltr">' in alice.get(headers={"Accept-Language": "fr"}).text
    assert Languages("zh_Hans").choose("", "").tag == Languages("zh-CN").choose("", "").tag == "zh-Hans"
    with pytest.raises(LanguagesRefused, match=r"portal\.language: there is no language \"tlh\""):
        Languages("tlh")


def test_a_persons_choice_is_kept_and_leads_back_to_where_it_was_made(visit: Any, school: Any) -> None:
    alice = visit("alice")
    alice.client.headers["Accept-Language"] = "fr"
    here = "http://testserver/services/portal/labs/ict101/lab-one?a=b"

    answer = alice.post("language", language="ar", headers={"Referer": here})

    assert answer.headers["location"] == "/services/portal/labs/ict101/lab-one?a=b"
    assert "Path=/services/portal/" in answer.headers["set-cookie"]
    assert "HttpOnly" in answer.headers["set-cookie"]
    assert '<html lang="ar" dir="rtl">' in alice.get().text
    assert '<option value="ar" lang="ar" selected>العربية</option>' in alice.get().text
    assert alice.post("language", language="tlh").status_code == 400
    assert alice.post("language", language="fr", csrf="wrong").status_code == 403
    elsewhere = alice.post("language", language="fr", headers={"Referer": "http://evil.example/x"})
    assert elsewhere.headers["location"] == "/services/portal/"


@pytest.mark.parametrize("code", CODES)
def test_what_people_wrote_stays_escaped_within_translated_sentences(
    visit: Any, school: Any, code: str
) -> None:
    fill(school)
    alice = visit("alice")
    alice.client.headers["Accept-Language"] = code.replace("_", "-")

    for page, text in students_pages(school, alice).items():
        assert f'<html lang="{code.replace("_", "-")}"' in text, page
        assert SCRIPT not in text, page
        assert "<img src=x" not in text, page


@pytest.mark.parametrize(
    "page",
    ["", "/insight", "/labs/lab-one", "/labs/lab-one/insight", "/people", "/announcements", "/inquiries/1"],
)
def test_a_page_that_nobody_translated_is_english_as_a_whole(visit: Any, school: Any, page: str) -> None:
    teacher = visit("teacher")
    teacher.client.headers["Accept-Language"] = "ar"

    text = teacher.get(f"courses/ict101{page}").text

    assert '<html lang="en" dir="ltr">' in text
    assert "Log out" in text
    assert not re.search("[\u0600-\u06ff]", re.sub("<option.*?</option>", "", text))
    assert '<html lang="ar" dir="rtl">' in teacher.get().text


def test_programs_are_answered_in_english(visit: Any, school: Any) -> None:
    answer = visit().get("api/exchange/nothing", headers={"Accept-Language": "fr"})

    assert answer.json()["detail"] == "There is no such page."


def test_a_file_adds_a_language(tmp_path: Path, visit: Any, school: Any) -> None:
    (tmp_path / "pt_BR.po").write_text(
        'msgid ""\nmsgstr "Content-Type: text/plain; charset=utf-8\\n"\n\nmsgid "Labs"\nmsgstr "Práticas"\n',
        encoding="utf-8",
    )

    languages = Languages(folder=tmp_path)
    alice = visit("alice", languages=languages)
    alice.client.headers["Accept-Language"] = "pt"

    assert [language.tag for language in languages] == ["en", "pt-BR"]
    assert '<html lang="pt-BR" dir="ltr">' in alice.get().text
    assert ">Práticas</a>" in alice.get().text
    assert ">Catalogue</a>" in alice.get().text  # what it lacks is English


@pytest.mark.parametrize(
    ("name", "text", "why"),
    [
        ("fr.po", "garbage", "not a catalogue"),
        ("fr.po", 'msgid "a', "not a catalogue"),
        ("fr.po", 'msgid "%(when)s"\nmsgstr "%(wann)s"\n', "does not fit its message"),
        ("klingon.po", "", "not the code of a language"),
        (
            "fr.po",
            'msgid ""\nmsgstr "Plural-Forms: nplurals=2; plural=(n>;\\n"\n\nmsgid "a"\nmsgstr "b"\n',
            "not a catalogue",
        ),
    ],
)
def test_a_malformed_file_is_named_at_the_start(tmp_path: Path, name: str, text: str, why: str) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8")

    with pytest.raises(LanguagesRefused, match=rf"{re.escape(name)}: .*{why}"):
        Languages(folder=tmp_path)


@pytest.mark.parametrize(
    ("tag", "moment", "number", "size"),
    [
        ("en", "Tue, 6 Jan 2026, 15:05", "17.5", "1.2 kB"),
        ("fr", "mar. 6 janv. 2026, 15:05", "17,5", "1,2\u202fko"),
        ("es", "mar, 6 ene 2026, 15:05", "17,5", "1,2 kB"),
        ("ar", "الثلاثاء، 6 يناير 2026، 15:05", "17.5", "1.2 كيلوبايت"),
        ("zh-Hans", "2026年1月6日周二 15:05", "17.5", "1.2 kB"),
    ],
)
def test_dates_numbers_and_sizes_are_written_as_the_reader_does(
    tag: str, moment: str, number: str, size: str
) -> None:
    language = Languages().find(tag)
    assert language

    assert language.moment(datetime(2026, 1, 6, 15, 5, tzinfo=UTC), UTC) == moment
    assert language.number(17.5) == number
    assert language.number(20.0) == "20"
    assert re.sub(r"\s", " ", language.size(1234)) == re.sub(r"\s", " ", size)


def test_arabic_counts_in_six_forms() -> None:
    arabic = Languages().find("ar")
    assert arabic

    with speaking(arabic):
        said = [
            ngettext("%(count)s lab.", "%(count)s labs.", count) % {"count": count}
            for count in (0, 1, 2, 5, 11, 100)
        ]

    assert said == [
        "لا توجد مختبرات.",
        "مختبر واحد.",
        "مختبران.",
        "5 مختبرات.",
        "11 مختبرًا.",
        "100 مختبر.",
    ]
