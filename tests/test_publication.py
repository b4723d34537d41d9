"""Publication: what is on record stays, what follows is named, and a bundle proves it without the home."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from conftest import price_rows

from tokenindex.bundles import verify_bundle, write_bundle
from tokenindex.chains import Entry, entry
from tokenindex.containers import Container, pack
from tokenindex.errata import errata
from tokenindex.errors import AdapterError, DeterminationError, LedgerError, TokenIndexError, VerificationError
from tokenindex.home import Home
from tokenindex.ledger import Ledger, check_anchor, check_signatures
from tokenindex.publication import anchor, cease, figure, introduce_key, publish, restate
from tokenindex.records import canonical
from tokenindex.verification import reproduce

pytest.importorskip("cryptography", reason="signing needs cryptography (extra sign)")
from tokenindex.signing import key_id, new_key, public_of, sign, signed

INDEX = "anthropic-output"
DAYS = [date(2026, 6, day) for day in (22, 23, 24)]
AT = datetime(2026, 7, 1, 1, tzinfo=UTC)
BOTH = ["A. Person, administrator", "B. Person, oversight"]
KEY, OTHER = new_key(), new_key()


@pytest.fixture(scope="module")
def made(sample: Home, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with a signed ledger and three published dates; no test changes it."""
    path = tmp_path_factory.mktemp("published") / "home"
    shutil.copytree(sample.path, path)
    home = Home.open(path)
    introduce_key(home, KEY, at=AT, valid_to=None, key=None)
    publish(home, [INDEX], days=DAYS, at=AT, key=KEY)
    return path


@pytest.fixture
def published(made: Path, tmp_path: Path) -> Home:
    """A copy of it that a test may write to."""
    shutil.copytree(made, tmp_path / "published")
    return Home.open(tmp_path / "published")


@pytest.fixture(scope="module")
def bundle(made: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its evidence, in a folder without the home; no test changes it."""
    path = tmp_path_factory.mktemp("elsewhere") / "evidence.zip"
    write_bundle(Home.open(made), path, indices=[], start=DAYS[0], end=DAYS[-1], key=KEY)
    return path


SELLERS = {  # the spellings under which three sources list one model of the index
    "models.dev": "claude-haiku-4-5-20251001",
    "litellm": "claude-haiku-4-5-20251001",
    "genai-prices": "claude-haiku-4-5",
}


def later_prices(home: Home, tmp_path: Path, *, price: str, known_at: datetime) -> None:
    """Let another price of a published model become known, which held from 23 June on."""
    head, row, _ = price_rows(f"output,{price},per_1m_tokens").decode().split("\n")
    row = row.replace("2026-06-01,first_seen,2026-06-01", f"2026-06-23,declared,{known_at:%Y-%m-%dT%H:%M:%SZ}")
    rows = [
        row.replace(SELLERS["models.dev"], model).replace("models.dev", source) for source, model in SELLERS.items()
    ]
    file = tmp_path / f"late {price}.csv"
    file.write_text("\n".join([head, *rows, ""]))
    assert home.ingest(file, adapter_name="prices", source="models.dev", seen_at=known_at, known_at=known_at)


def known(home: Home) -> list[str]:
    """Return the kinds of the entries of a ledger."""
    return [e.fields["kind"] for e in home.ledger().entries]


# publishing ------------------------------------------------------------------------------------------------------


def test_what_is_published_is_the_fixing_and_is_signed(published: Home, made: Path) -> None:
    ledger = published.ledger()
    assert known(published) == ["key", *["publication"] * 3]
    for day, found in zip(DAYS, ledger.entries[1:], strict=True):
        body, held = found.fields["body"], published.record_of(found)
        fixing = held.document["fixing"]
        assert (body["index"], body["fixing_date"], body["vintage"]) == (INDEX, str(day), "final")
        assert body["fixing"] == {k: fixing[k] for k in ("status", "price", "level", "currency")}
        assert body["record"] == held.sha256
        assert ledger.official(INDEX, day) is found
    assert list(check_signatures(ledger, published.files.read)) == [key_id(public_of(KEY))]
    assert list(reproduce([published.record_of(e) for e in ledger.entries[1:]], evidence=published.evidence()))


def test_a_date_is_published_once(published: Home) -> None:
    with pytest.raises(LedgerError, match="published already, in entry 2") as caught:
        publish(published, [INDEX], days=[DAYS[0]], at=AT, key=KEY)
    assert "restate" in caught.value.remedy
    assert len(known(published)) == 4


def test_a_fixing_is_published_after_its_cut_off_and_not_before(sample: Home, tmp_path: Path) -> None:
    shutil.copytree(sample.path, tmp_path / "home")
    (tmp_path / "home" / "home.toml").write_text('redistributable = ["MIT"]\n')
    home = Home.open(tmp_path / "home")
    with pytest.raises(DeterminationError, match="15:59") as caught:
        publish(home, [INDEX], days=[DAYS[0]], at=datetime(2026, 6, 22, 15, 59, tzinfo=UTC), key=None)
    assert "2026-06-22T16:00:00" in caught.value.expected
    (found,) = publish(home, [INDEX], days=[DAYS[0]], at=datetime(2026, 6, 22, 16, tzinfo=UTC), key=None)
    # as known at the cut-off there is nothing in this archive: that is said, on record, and no figure is made up
    assert known(home) == ["contingency", "publication"]
    assert found.fields["body"]["fixing"]["status"] == "not_determined"
    assert found.fields["body"]["fixing"]["price"] is None


def test_a_clock_that_goes_back_publishes_nothing(published: Home) -> None:
    with pytest.raises(LedgerError, match="the clock says") as caught:
        publish(published, [INDEX], days=[date(2026, 6, 25)], at=AT - timedelta(seconds=1), key=KEY)
    assert "clock" in caught.value.remedy
    assert len(known(published)) == 4


@pytest.mark.parametrize("key", [None, OTHER])
def test_nobody_publishes_without_the_key_on_record(published: Home, key: bytes | None) -> None:
    with pytest.raises(LedgerError, match="key"):
        publish(published, [INDEX], days=[date(2026, 6, 25)], at=AT, key=key)
    assert len(known(published)) == 4


def test_keys_follow_each_other(published: Home) -> None:
    with pytest.raises(LedgerError, match="this is the key"):
        introduce_key(published, OTHER, at=AT, valid_to=None, key=OTHER)
    introduce_key(published, OTHER, at=AT, valid_to=AT + timedelta(days=1), key=KEY)
    with pytest.raises(LedgerError, match="key"):
        publish(published, [INDEX], days=[date(2026, 6, 25)], at=AT, key=KEY)
    publish(published, [INDEX], days=[date(2026, 6, 25)], at=AT, key=OTHER)
    assert list(check_signatures(published.ledger(), published.files.read)) == [
        key_id(public_of(key)) for key in (KEY, OTHER)
    ]
    with pytest.raises(LedgerError, match="valid until"):
        publish(published, [INDEX], days=[date(2026, 6, 26)], at=AT + timedelta(days=2), key=OTHER)
    third = new_key()
    introduce_key(published, third, at=AT + timedelta(days=2), valid_to=None, key=OTHER)
    publish(published, [INDEX], days=[date(2026, 6, 26)], at=AT + timedelta(days=2), key=third)


def test_nothing_follows_a_cessation(published: Home) -> None:
    with pytest.raises(LedgerError, match="2 different people"):
        cease(published, INDEX, last=DAYS[-1], at=AT, reason="no use", approved_by=["A", " a "], key=KEY)
    cease(published, INDEX, last=DAYS[-1], at=AT, reason="no use", approved_by=BOTH, key=KEY)
    with pytest.raises(LedgerError, match="ceased after 2026-06-24"):
        publish(published, [INDEX], days=[date(2026, 6, 25)], at=AT, key=KEY)


def test_a_provisional_figure_is_followed_by_the_final_one(published: Home) -> None:
    path = published.path / "methodology" / "two-steps" / "1.0.0.toml"
    path.parent.mkdir(parents=True)
    text = published.methodology(INDEX, DAYS[0]).text.decode()
    text = text.replace(f'index = "{INDEX}"', 'index = "two-steps"')
    path.write_text(text.replace("vintages = { final = 0 }", "vintages = { provisional = 0, final = 24 }"))
    home = Home.open(published.path)
    day = date(2026, 6, 26)
    with pytest.raises(DeterminationError, match="no vintage 'first'"):
        publish(home, ["two-steps"], days=[day], at=AT, key=KEY, vintage="first")
    publish(home, ["two-steps"], days=[day], at=AT, key=KEY, vintage="provisional")
    publish(home, ["two-steps"], days=[day], at=AT, key=KEY)
    for vintage in ("provisional", "final"):
        with pytest.raises(LedgerError, match="published already"):
            publish(home, ["two-steps"], days=[day], at=AT, key=KEY, vintage=vintage)


# restatement -----------------------------------------------------------------------------------------------------


def test_within_the_window_a_large_change_replaces_the_figure(published: Home, tmp_path: Path) -> None:
    moment = AT + timedelta(hours=1)
    later_prices(published, tmp_path, price="5.5", known_at=moment)
    before = published.ledger().official(INDEX, DAYS[1])
    assert before is not None
    with pytest.raises(LedgerError, match="2 different people"):
        restate(published, INDEX, DAYS[1], at=moment, reason="late price", approved_by=["A", "A"], key=KEY)
    with pytest.raises(LedgerError, match="no reason"):
        restate(published, INDEX, DAYS[1], at=moment, reason=" ", approved_by=BOTH, key=KEY)
    found = restate(published, INDEX, DAYS[1], at=moment, reason="late price", approved_by=BOTH, key=KEY)
    body = found.fields["body"]
    assert found.fields["kind"] == "restatement"
    assert (body["supersedes"], body["before"]) == (before.number, before.fields["body"]["fixing"])
    assert body["fixing"]["price"] != body["before"]["price"]
    assert [d["fixing_date"] for d in body["dependants"]] == ["2026-06-24"]
    ledger = Home.open(published.path).ledger()
    assert ledger.official(INDEX, DAYS[1]) == found
    assert ledger.first(INDEX, DAYS[1]) == before
    # old and new are both kept, and each reproduces
    both = [published.record_of(e) for e in (before, found)]
    assert list(reproduce(both, evidence=published.evidence())) == both
    with pytest.raises(LedgerError, match="nothing changes"):
        restate(published, INDEX, DAYS[1], at=moment, reason="again", approved_by=BOTH, key=KEY)


def test_after_the_window_what_was_published_stands(published: Home, tmp_path: Path) -> None:
    moment = AT + timedelta(hours=4, seconds=1)  # the document's window is four hours
    later_prices(published, tmp_path, price="5.5", known_at=moment)
    before = published.ledger().official(INDEX, DAYS[2])
    found = restate(published, INDEX, DAYS[2], at=moment, reason="late price", approved_by=BOTH, key=KEY)
    assert found.fields["kind"] == "correction"
    ledger = published.ledger()
    assert (ledger.official(INDEX, DAYS[2]), ledger.corrected(INDEX, DAYS[2])) == (before, found)
    later_prices(published, tmp_path, price="5.6", known_at=moment + timedelta(hours=1))
    again = restate(
        published, INDEX, DAYS[2], at=moment + timedelta(hours=1), reason="once more", approved_by=BOTH, key=KEY
    )
    assert again.fields["body"]["supersedes"] == found.number


def test_a_change_below_the_threshold_is_a_correction_within_the_window_too(published: Home, tmp_path: Path) -> None:
    moment = AT + timedelta(hours=1)
    later_prices(published, tmp_path, price="5.003", known_at=moment)
    found = restate(published, INDEX, DAYS[2], at=moment, reason="late price", approved_by=BOTH, key=KEY)
    assert found.fields["kind"] == "correction"
    assert 0 < abs(float(found.fields["body"]["change"])) < 0.0001


def test_what_is_not_published_is_not_restated(published: Home) -> None:
    with pytest.raises(LedgerError, match="not published"):
        restate(published, INDEX, date(2026, 6, 25), at=AT, reason="x", approved_by=BOTH, key=KEY)


# points in time --------------------------------------------------------------------------------------------------


def test_any_past_figure_as_published_as_known_and_by_another_version(published: Home, tmp_path: Path) -> None:
    moment = AT + timedelta(hours=1)
    later_prices(published, tmp_path, price="5.5", known_at=moment)
    first = published.ledger().first(INDEX, DAYS[1])
    restated = restate(published, INDEX, DAYS[1], at=moment, reason="late price", approved_by=BOTH, key=KEY)
    assert first is not None

    def digest(as_of: Any, version: str | None = None) -> str:
        return figure(published, INDEX, DAYS[1], as_of=as_of, version=version).sha256

    assert digest("first") == digest(datetime(2026, 7, 1, tzinfo=UTC)) == first.fields["body"]["record"]
    assert digest("official") == digest("corrected") == digest(moment) == restated.fields["body"]["record"]
    assert digest("first", "1.0.0") == first.fields["body"]["record"]
    path = published.path / "methodology" / INDEX / "2.0.0.toml"
    path.parent.mkdir(parents=True)
    text = published.methodology(INDEX, DAYS[0]).text.decode().replace('version = "1.0.0"', 'version = "2.0.0"')
    text = text.replace("price_decimals = 6", "price_decimals = 2").replace("= 2026-05-20", "= 2027-01-01", 1)
    path.write_text(text.replace("effective_from = 2026-06-01", "effective_from = 2027-01-01"))
    other = figure(Home.open(published.path), INDEX, DAYS[1], as_of="first", version="2.0.0").document
    was = published.record_of(first).document["fixing"]
    assert other["version"] == "2.0.0"
    assert float(other["fixing"]["price"]) == round(float(was["price"]), 2)
    with pytest.raises(TokenIndexError, match="no version"):
        digest("first", "3.0.0")


# judgment --------------------------------------------------------------------------------------------------------


def judged(home: Home, tmp_path: Path) -> None:
    """Let a new price become known on 23 June, and hold it by judgment."""
    later_prices(home, tmp_path, price="5.5", known_at=datetime(2026, 6, 23, 9, tzinfo=UTC))
    head = "decided_at,decision,source,provider,model,component,price,valid_from,reason,decided_by,approved_by\n"
    rows = [
        f"2026-06-23T12:00:00Z,hold,{source},anthropic,{model},output,5.5,2026-06-23T00:00:00Z,why,A. Person,B. Person\n"
        for source, model in SELLERS.items()
    ]
    file = tmp_path / "judgments.csv"
    file.write_text("".join([head, *rows]))
    seen = datetime(2026, 6, 23, 13, tzinfo=UTC)
    assert home.ingest(file, adapter_name="judgments", source="desk", seen_at=seen, known_at=seen)


def test_a_judgment_is_on_record_with_both_figures(sample: Home, tmp_path: Path) -> None:
    shutil.copytree(sample.path, tmp_path / "home")
    home = Home.open(tmp_path / "home")
    plain = figure(home, INDEX, DAYS[1], as_of=datetime(2026, 7, 1, tzinfo=UTC), version=None).document
    judged(home, tmp_path)
    publish(home, [INDEX], days=DAYS[1:], at=AT, key=None)
    # the archive looks from one moment: the judgments are known for both dates, and are entered once
    assert known(home) == [*["judgment"] * 3, "publication", "publication"]
    body = home.ledger().entries[0].fields["body"]
    assert (body["decided_by"], body["approved_by"], body["decision"]) == ("A. Person", "B. Person", "hold")
    assert (body["inputs"]["model"] in SELLERS.values(), body["inputs"]["price"][:3]) == (True, "5.5")
    held = home.record_of(home.ledger().entries[3]).document
    assert held["fixing"]["price"] == plain["fixing"]["price"]  # what was held does not count
    assert held["without_judgment"] == body["without"]
    assert body["without"]["price"] != body["with"]["price"] == held["fixing"]["price"]
    records = [home.record_of(e) for e in home.ledger().entries[3:]]
    assert list(reproduce(records, evidence=home.evidence())) == records
    differences = errata(home, at=AT)
    assert set(differences["cause"]) == {"judgment"}


def test_a_document_may_allow_no_judgment(sample: Home, tmp_path: Path) -> None:
    shutil.copytree(sample.path, tmp_path / "home")
    home = Home.open(tmp_path / "home")
    judged(home, tmp_path)
    text = sample.methodology(INDEX, DAYS[0]).text.decode().replace(f'index = "{INDEX}"', 'index = "strict"')
    path = home.path / "methodology" / "strict" / "1.0.0.toml"
    path.parent.mkdir(parents=True)
    path.write_text(text.replace('allowed = ["release", "hold"]', "allowed = []"))
    publish(Home.open(home.path), ["strict"], days=DAYS[2:], at=AT, key=None)
    assert known(home) == ["publication"]
    assert home.record_of(home.ledger().entries[0]).document["without_judgment"] is None


# errata ----------------------------------------------------------------------------------------------------------


def test_errata_name_the_cause(published: Home, tmp_path: Path) -> None:
    assert errata(published, at=AT).is_empty()
    moment = AT + timedelta(hours=6)
    later_prices(published, tmp_path, price="5.5", known_at=moment)
    assert errata(Home.open(published.path), at=AT).is_empty()
    found = errata(Home.open(published.path), at=moment)
    assert found.select("fixing_date", "cause").rows() == [(DAYS[1], "knowledge"), (DAYS[2], "knowledge")]
    assert (found["price_before"] != found["price_after"]).all()
    # a file that is listed later and said to have been known before
    later_prices(published, tmp_path, price="5.4", known_at=datetime(2026, 6, 30, tzinfo=UTC))
    found = errata(Home.open(published.path), at=AT)
    assert found.select("fixing_date", "cause").rows() == [(DAYS[1], "captures"), (DAYS[2], "captures")]
    # and the registry
    lines = (published.path / "registry.csv").read_text().split("\n")
    (published.path / "registry.csv").write_text("\n".join(line for line in lines if "claude-haiku-4.5," not in line))
    causes = errata(Home.open(published.path), at=AT).filter(fixing_date=DAYS[0])["cause"].to_list()
    assert causes == ["registry"]


# the ledger as an attacker would have it -------------------------------------------------------------------------


def rewritten(home: Home, change: Callable[[list[dict[str, Any]]], list[dict[str, Any]]]) -> list[bytes]:
    """Return the entries of a ledger after a change, with digests that fit again."""
    links = ("ledger", "number", "previous")
    last, found = None, []
    for fields in change([{k: v for k, v in e.fields.items() if k not in links} for e in home.ledger().entries]):
        last = entry("ledger", last, fields)
        found.append(last.content)
    return found


def written(home: Home, contents: list[bytes]) -> Home:
    """Put other entries into a home."""
    shutil.rmtree(home.path / "ledger")
    (home.path / "ledger").mkdir()
    for number, content in enumerate(contents, start=1):
        (home.path / "ledger" / f"{number:08}.json").write_bytes(content)
    return Home.open(home.path)


def test_a_changed_reordered_or_missing_entry_is_named(published: Home) -> None:
    good = [e.content for e in published.ledger().entries]
    for wrong, said in (
        ([good[0], good[2], good[1], good[3]], "ledger entry 2: number is 3"),
        ([good[0], good[1].replace(b"determined", b"undecided"), *good[2:]], "ledger entry 3: previous"),
        ([good[0], good[1] + b" ", *good[2:]], "ledger entry 2: the entry is not canonical"),
        ([good[0], b"", *good[2:]], "ledger entry 2"),
    ):
        with pytest.raises(LedgerError, match=said):
            written(published, wrong).ledger()
    written(published, good)
    (published.path / "ledger" / "00000002.json").unlink()
    with pytest.raises(LedgerError, match="there is ledger/00000003") as caught:
        Home.open(published.path).ledger()
    assert caught.value.expected == "ledger/00000002.json"


def test_a_ledger_that_was_written_anew_is_not_signed(published: Home) -> None:
    def cheaper(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
        entries[1]["body"]["fixing"]["price"] = "1.000000000"
        return entries

    forged = written(published, rewritten(published, cheaper))
    forged.ledger()  # the chain holds again
    with pytest.raises(LedgerError, match="there is no signature") as caught:
        check_signatures(forged.ledger(), forged.files.read)
    assert caught.value.where == "ledger entry 2"


def test_a_ledger_that_was_cut_short_or_replayed_does_not_hold_an_anchor(published: Home) -> None:
    good = [e.content for e in published.ledger().entries]
    kept = (published.path / anchor(published)).read_bytes()
    check_anchor(published.ledger(), kept, where="kept")
    short = written(published, good[:-1])
    check_signatures(short.ledger(), short.files.read)  # it holds by itself
    with pytest.raises(LedgerError, match="cut short, or an older one") as caught:
        check_anchor(short.ledger(), kept, where="kept")
    assert caught.value.expected.startswith("entry 4")
    publish(short, [INDEX], days=[date(2026, 6, 26)], at=AT, key=KEY)
    with pytest.raises(LedgerError, match="entry 4 hashes to"):
        check_anchor(short.ledger(), kept, where="kept")
    with pytest.raises(LedgerError, match="no anchor"):
        check_anchor(short.ledger(), b"tokenindex ledger x\n", where="kept")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"kind": "rumour"}, "rumour"),
        ({"at": "2026-07-01"}, "not written in UTC"),
        ({"at": "2020-01-01T00:00:00.000000Z"}, "the clock says"),
        ({"key": None}, "signed with None"),
        ({"key": "0" * 64}, "signed with 000"),
        ({"body": {}}, "a 'publication' with"),
        ({"body": None}, "a 'publication' with"),
    ],
)
def test_an_entry_that_contradicts_the_ledger_is_refused(published: Home, change: dict[str, Any], said: str) -> None:
    def with_one_more(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
        body = {**entries[-1]["body"], "fixing_date": "2026-06-25"}
        return [*entries, {**entries[-1], "body": body, **change}]

    with pytest.raises(LedgerError, match=said) as caught:
        Ledger.of(map(Entry, rewritten(published, with_one_more)))
    assert "ledger entry 5" in caught.value.where


# writers at once and writers that die ----------------------------------------------------------------------------

RACE = """
import sys
from datetime import UTC, date, datetime
from pathlib import Path
from tokenindex.errors import LedgerError
from tokenindex.home import Home
from tokenindex.publication import publish
home = Home.open(sys.argv[1])
done = 0
for day in range(1, 21):
    try:
        publish(home, ["anthropic-output"], days=[date(2026, 6, day)], at=datetime(2026, 7, 1, 1, tzinfo=UTC),
                key=Path(sys.argv[2]).read_bytes())
        done += 1
    except LedgerError as refused:
        assert "published already" in str(refused), refused
print(done)
"""


def test_two_programs_that_publish_the_same_dates_publish_each_once(published: Home, tmp_path: Path) -> None:
    (tmp_path / "key.pem").write_bytes(KEY)
    words = [sys.executable, "-c", RACE, str(published.path), str(tmp_path / "key.pem")]
    started = [subprocess.Popen(words, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    done = [int(program.communicate(timeout=120)[0]) for program in started]
    ledger = Home.open(published.path).ledger()
    assert sum(done) == 20
    assert len(ledger.entries) == 24
    assert list(check_signatures(ledger, published.files.read))


# bundles ---------------------------------------------------------------------------------------------------------


def steps(path: Path, **given: Any) -> list[str]:
    """Return the names of the steps of a verification."""
    return [step.name for step in verify_bundle(path, **given)]


NAMES = ["container", "manifest", "ledger", "signatures", "anchors", "records", "captures", "determination"]


def test_a_bundle_is_verified_without_the_home(bundle: Path) -> None:
    assert steps(bundle) == NAMES
    assert steps(bundle, key=key_id(public_of(KEY))) == NAMES
    with pytest.raises(VerificationError, match="the first key is"):
        steps(bundle, key=key_id(public_of(OTHER)))
    with pytest.raises(VerificationError, match="no entry has that digest"):
        steps(bundle, head="0" * 64)


def test_the_same_evidence_gives_the_same_bundle(made: Path, bundle: Path, tmp_path: Path) -> None:
    write_bundle(Home.open(made), tmp_path / "again.zip", indices=[], start=DAYS[0], end=DAYS[-1], key=KEY)
    assert (tmp_path / "again.zip").read_bytes() == bundle.read_bytes()
    with pytest.raises(LedgerError, match="there already"):
        write_bundle(Home.open(made), bundle, indices=[], start=DAYS[0], end=DAYS[-1], key=KEY)
    with pytest.raises(LedgerError, match="nothing of that is published"):
        write_bundle(Home.open(made), tmp_path / "x.zip", indices=["tix"], start=DAYS[0], end=DAYS[-1], key=KEY)


def test_a_licence_that_forbids_it_leaves_the_digest_alone(published: Home, tmp_path: Path) -> None:
    path = published.path / "home.toml"
    path.write_text("\n".join(line for line in path.read_text().split("\n") if "MIT" not in line))
    manifest = write_bundle(
        Home.open(published.path), tmp_path / "b.zip", indices=[], start=DAYS[0], end=DAYS[-1], key=KEY
    )
    withheld = manifest["commitments"]
    assert withheld
    found = list(verify_bundle(tmp_path / "b.zip"))
    assert "withheld and were not reproduced" in found[-1].found
    assert f"captures/{withheld[0]['sha256']}" not in Container(tmp_path / "b.zip").names
    path.write_text("")
    with pytest.raises(LedgerError, match="passed on"):
        write_bundle(Home.open(published.path), tmp_path / "c.zip", indices=[], start=DAYS[0], end=DAYS[0], key=KEY)


def members(path: Path) -> dict[str, bytes]:
    """Return what is in a bundle."""
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def repacked(path: Path, files: dict[str, bytes], *, listed: bool, key: bytes | None) -> Path:
    """Write other files as a bundle whose container fits; `listed`: with a manifest that fits, signed with `key`."""
    import hashlib

    if listed:
        manifest = json.loads(files["manifest.json"])
        manifest["files"] = {
            name: {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content)}
            for name, content in files.items()
            if name not in ("manifest.json", "manifest.sig")
        }
        files = files | {"manifest.json": canonical(manifest)}
        if key:
            files["manifest.sig"] = sign(key, files["manifest.json"])
    path.unlink(missing_ok=True)
    with path.open("w+b") as file:
        pack(file, sorted(files.items()))
    return path


def test_a_flipped_bit_anywhere_in_the_file_is_found(bundle: Path, tmp_path: Path) -> None:
    good = bundle.read_bytes()
    path = tmp_path / "flipped.zip"
    places = [*range(0, len(good), 997), *range(len(good) - 200, len(good))]
    for place in places:
        path.write_bytes(good[:place] + bytes([good[place] ^ (1 << place % 8)]) + good[place + 1 :])
        with pytest.raises(VerificationError):
            Container(path).names  # noqa: B018
    for cut in (0, 1, 21, 22, 100, len(good) // 2, len(good) - 1):
        path.write_bytes(good[:cut])
        with pytest.raises(VerificationError):
            steps(path)
    path.write_bytes(good + b"\0")
    with pytest.raises(VerificationError):
        steps(path)


def test_a_flipped_bit_of_any_file_is_named(bundle: Path, tmp_path: Path) -> None:
    good = members(bundle)
    for name, content in good.items():
        changed = good | {name: content[:-1] + bytes([content[-1] ^ 1])}
        path = repacked(tmp_path / "b.zip", changed, listed=False, key=None)
        with pytest.raises(VerificationError) as caught:
            steps(path)
        assert name in caught.value.where or name.startswith("manifest."), name


def forged(good: dict[str, bytes], case: str) -> tuple[dict[str, bytes], str]:
    """Return a bundle as somebody would forge it who can recompute digests and has a key of their own; and what is said."""
    import hashlib

    files = dict(good)
    record = next(name for name in files if name.startswith("records/"))
    if case == "a record with another price":
        files[record] = files[record].replace(b'"price":"', b'"price":"1', 1)
        return files, "the record hashes to"
    if case == "a swapped capture":
        a, b = [name for name in files if name.startswith("captures/")][:2]
        files[a], files[b] = files[b], files[a]
        return files, "hashes to"
    if case == "another document of the same version":
        name = next(name for name in files if name.startswith("methodology/"))
        text = files.pop(name).replace(b"price_decimals = 6", b"price_decimals = 5")
        files[f"methodology/{hashlib.sha256(text).hexdigest()}.toml"] = text
        return files, "no methodology document hashes to"
    if case == "no signature":
        del files[next(name for name in files if name.startswith("signatures/"))]
        return files, "there is no signature"
    if case == "a ledger cut short":
        last = max(name for name in files if name.startswith("ledger/"))
        del files[last]
        return files, "the ledger ends with"
    if case == "a file that belongs to nothing":
        return files | {"more": b"x"}, "no such file"
    if case == "two entries exchanged":
        a, b = sorted(name for name in files if name.startswith("ledger/"))[1:3]
        files[a], files[b] = files[b], files[a]
        return files, "number is 3"
    raise AssertionError(case)


@pytest.mark.parametrize(
    "case",
    [
        "a record with another price",
        "a swapped capture",
        "another document of the same version",
        "no signature",
        "a ledger cut short",
        "two entries exchanged",
        "a file that belongs to nothing",
    ],
)
def test_a_forgery_by_somebody_who_has_the_key_is_found_too(bundle: Path, tmp_path: Path, case: str) -> None:
    files, said = forged(members(bundle), case)
    path = repacked(tmp_path / "forged.zip", files, listed=True, key=KEY)
    with pytest.raises(VerificationError, match=said):
        steps(path)
    if case != "no signature":
        with pytest.raises(VerificationError, match=r"signature is another|hashes|ends|number|document|no such file"):
            steps(repacked(tmp_path / "forged.zip", files, listed=True, key=OTHER))


def test_another_key_for_everything_is_another_first_key(bundle: Path, tmp_path: Path, published: Home) -> None:
    """Somebody signs the whole ledger anew with a key of their own: only the id of the key tells."""

    def resigned(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
        public = public_of(OTHER)
        entries[0]["body"]["public_key"] = public
        return [fields | {"key": key_id(public)} for fields in entries]

    contents = rewritten(published, resigned)
    files = {n: c for n, c in members(bundle).items() if not n.startswith(("ledger/", "signatures/", "keys/"))}
    for number, content in enumerate(contents, start=1):
        files[f"ledger/{number:08}.json"] = content
        files[f"signatures/{Entry(content).sha256}.sig"] = sign(OTHER, content)
    manifest = json.loads(files["manifest.json"])
    manifest["ledger"] = {"number": len(contents), "sha256": Entry(contents[-1]).sha256}
    files["manifest.json"] = canonical(manifest)
    path = repacked(tmp_path / "b.zip", files, listed=True, key=OTHER)
    assert steps(path) == NAMES
    with pytest.raises(VerificationError, match="the first key is"):
        steps(path, key=key_id(public_of(KEY)))


def raw(path: Path, write: Callable[[zipfile.ZipFile], None]) -> Path:
    """Write a ZIP file as an attacker would, with an end that fits."""
    import hashlib
    import io
    import struct

    memory = io.BytesIO()
    with zipfile.ZipFile(memory, "w", zipfile.ZIP_DEFLATED) as archive:
        write(archive)
    content = memory.getvalue()
    digest = hashlib.sha256(content[:-22]).hexdigest().encode()
    path.write_bytes(content[:-2] + struct.pack("<H", 64) + digest)
    return path


def member(name: str, *, mode: int = 0o100644) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
    info.create_system, info.external_attr, info.compress_type = 3, mode << 16, zipfile.ZIP_DEFLATED
    return info


@pytest.mark.parametrize(
    ("write", "said"),
    [
        (lambda z: z.writestr(member("../escape"), b"x"), "leads elsewhere"),
        (lambda z: z.writestr(member("/etc/passwd"), b"x"), "leads elsewhere"),
        (lambda z: z.writestr(member("a/../b"), b"x"), "leads elsewhere"),
        (lambda z: z.writestr(member("a\\b"), b"x"), "leads elsewhere"),
        (lambda z: z.writestr(member("folder/"), b""), "leads elsewhere"),
        (lambda z: z.writestr(member("link", mode=0o120777), b"/etc/passwd"), "no plain file"),
        (lambda z: z.writestr(member("bomb"), b"\0" * 50_000_000), "too dense"),
        (lambda z: [z.writestr(member("a"), b"x"), z.writestr(member("a"), b"y")], "twice or out of order"),
        (lambda z: [z.writestr(member("b"), b"x"), z.writestr(member("a"), b"y")], "twice or out of order"),
        (lambda z: z.writestr(zipfile.ZipInfo("dated", (2026, 1, 1, 0, 0, 0)), b"x"), "no plain file|more than bytes"),
        (lambda z: [z.writestr(member(f"{k:05}"), b"") for k in range(60_001)], "60,001 members"),
    ],
)
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_hostile_container_is_refused(tmp_path: Path, write: Callable[[zipfile.ZipFile], None], said: str) -> None:
    with pytest.raises(VerificationError, match=said):
        steps(raw(tmp_path / "hostile.zip", write))


def test_what_shrinks_too_much_is_stored(tmp_path: Path) -> None:
    files = {"dense": b"0" * 5_000_000, "empty": b"", "text": bytes(range(256)) * 40}
    with (tmp_path / "c.zip").open("w+b") as file:
        pack(file, sorted(files.items()))
    found = Container(tmp_path / "c.zip")
    assert {name: found.read(name) for name in found.names} == files


def test_a_signature_verifies_with_openssl(published: Home, tmp_path: Path) -> None:
    if not shutil.which("openssl"):
        pytest.skip("openssl is not installed")
    found = published.ledger().entries[1]
    public = tmp_path / "key.pem"
    public.write_bytes(published.files.read(f"keys/{found.fields['key']}.pem") or b"")
    folder = published.path
    words = [
        "openssl",
        "pkeyutl",
        "-verify",
        "-pubin",
        "-inkey",
        public,
        "-rawin",
        "-in",
        folder / "ledger/00000002.json",
    ]
    command = [str(word) for word in [*words, "-sigfile", folder / f"signatures/{found.sha256}.sig"]]
    assert subprocess.run(command, capture_output=True, check=False).returncode == 0
    public.write_text(public_of(OTHER))
    assert subprocess.run(command, capture_output=True, check=False).returncode != 0


def test_keys_and_signatures() -> None:
    # RFC 8032, section 7.1, test 2
    seed = bytes.fromhex("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb")
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from tokenindex.signing import pem_of

    private = pem_of(Ed25519PrivateKey.from_private_bytes(seed))
    signature = bytes.fromhex(
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
        "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
    )
    assert sign(private, b"\x72") == signature
    assert signed(public_of(private), b"\x72", signature)
    assert not signed(public_of(private), b"\x73", signature)
    assert not signed(public_of(OTHER), b"\x72", signature)
    for wrong in (b"", b"junk", public_of(private).encode()):
        with pytest.raises(LedgerError, match="key"):
            public_of(wrong)
    for text in ("", "junk", private.decode(), public_of(private).replace("MC", "MD")):
        with pytest.raises(LedgerError, match="public key"):
            key_id(text)


def test_without_the_package_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch, bundle: Path) -> None:
    public = public_of(KEY)
    monkeypatch.setitem(sys.modules, "cryptography.hazmat.primitives", None)
    monkeypatch.setitem(sys.modules, "cryptography.hazmat", None)
    monkeypatch.setitem(sys.modules, "cryptography", None)
    for call in (new_key, lambda: sign(KEY, b""), lambda: signed(public, b"", b"")):
        with pytest.raises(AdapterError, match="cryptography is not installed") as caught:
            call()
        assert "sign" in caught.value.remedy
    with pytest.raises(AdapterError, match="cryptography is not installed"):
        steps(bundle)
