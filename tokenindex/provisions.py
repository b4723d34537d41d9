"""Provisions: what the Benchmarks Regulation and the principles of IOSCO ask for, and what there is to say to each.

*Reads* nothing. *Writes* nothing: `tokenindex.paperwork` fills what stands here from a document. *Never* says that the
administrator complies: that is not for software to know.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Item:
    """What a provision asks for, what the document and the software say to it, and what the administrator has to.

    `says` are templates (see `tokenindex.sentences.filled`), `quotes` sections of the document.
    """

    provision: str
    asks: str
    says: tuple[str, ...] = ()
    quotes: tuple[str, ...] = ()
    open: tuple[str, ...] = ()


ITEMS: Final = (
    Item(
        "Article 27(1)(a)",
        "The market or economic reality that is measured, and when its measurement may become unreliable",
        (
            "{measures.statement}\n\nThe measurement may become unreliable where the sources of prices are not looked "
            "at for more than {inputs.max_days_unseen} days, or no longer say what is charged; where prices that are "
            "held back are not confirmed, so that models keep older ones, for up to {inputs.carry_dates} fixing "
            "dates; where exchange rates are more than {inputs.max_rate_age_days} days old; where fewer than "
            "{volumes.min_days} days of volumes are known, or the users whose volumes {volumes.sources} reports are "
            "not those of the market; and where few models or vendors are left. What is published then:",
        ),
        ("waterfall",),
        ("circumstances of the market itself in which its measurement may become unreliable",),
    ),
    Item(
        "Article 27(1)(b)",
        "Where discretion may be exercised, by which criteria, by whom, and how it is evaluated afterwards",
        (
            "The calculation leaves no discretion: the same document and the same captured files give the same "
            "figure, and `tokenindex verify` repeats it. Discretion is possible in three places: in a judgment about "
            "a single price, as far as the document allows it; in the registry, which says by one dated row what "
            "each spelling of a source stands for, and whose digest is in every record; and in the decision to look "
            "at a published figure again.",
            "Evaluation afterwards: a record names every captured file that a fixing rests on, those of judgments "
            "among them, and holds the figure without judgments beside the published one. `tokenindex errata` lists "
            "both for every published figure. The ledger of a home keeps each judgment with its reason, its two "
            "people and both figures, and each restatement with its reason and approvers.",
        ),
        ("judgment", "restatement"),
        (
            "the criteria of a judgment beyond those of the document",
            "the positions of those who may exercise discretion",
        ),
    ),
    Item(
        "Article 27(1)(c)",
        "Notice that factors, external ones among them, may necessitate changes to the benchmark or its cessation",
        (
            "Factors beyond the control of the administrator may necessitate changes to this benchmark or its "
            "cessation: sources may change what they publish, or cease; models are withdrawn and replaced; vendors "
            "may price in other ways. The calendar of this version ends on {calendar.closes}: for later dates "
            "another version is needed.",
            "A change of the method is a new version of the document with a later date in force; a version in force "
            "is not changed. A cessation (`tokenindex cease`) is an entry of the ledger with the last fixing date, "
            "the reason and the approvers: nothing is published for a later date.",
        ),
        (),
        ("the procedure for changes and cessation (Article 28(1))",),
    ),
    Item(
        "Article 27(1)(d)",
        "Advice that changes or cessation may affect contracts, instruments and the performance of funds",
        (
            "Changes to this benchmark, or its cessation, may have an impact upon the financial contracts and "
            "financial instruments that reference it, or upon the measurement of the performance of investment "
            "funds. `tokenindex methodology impact` measures for a new version which figures and settlement prices "
            "it would have changed.",
        ),
    ),
    Item(
        "Article 27(2)(a)",
        "Definitions of the key terms",
        (
            "- **fixing**: the figure of one fixing date, with its status\n- **cut-off**: the moment after which "
            "nothing enters a fixing\n- **capture**: a file as its source gave it, named by its digest\n- "
            "**registry**: what the spellings of sources stand for, one dated row each\n- **constituent**: a model "
            "of a vendor, whoever sells it\n- **component**: what a token is used for, such as `input` or `output`\n"
            "- **workload**: the declared use under which the prices of a model are one number\n- **tier**: the rank "
            "of a source of prices; the best one that has a price decides\n- **basket**: quantities of tokens that "
            "are fixed between rebalances\n- **price**: what a million tokens cost; **level**: the chained index of "
            "a basket\n- **coverage**: the share of the weight whose price was observed for the date itself\n- "
            "**waterfall**: what is published when inputs are thin, in order\n- **vintage**: a publication of a "
            "fixing with what is known by a certain moment\n- **judgment**: a decision of two people about a single "
            "price\n- **restatement**: a figure that replaces a published one; **correction**: one that stands "
            "beside it\n- **record**: the file from which anybody can repeat a fixing; **ledger**: the list of all "
            "that was published",
        ),
    ),
    Item(
        "Article 27(2)(b)",
        "The rationale of the methodology, and how it is reviewed and approved",
        (
            "`tokenindex methodology diff` names every key in which two versions differ, and `tokenindex methodology "
            "impact` what the new one would have published. The digest of the version stands in every record, and "
            "`tokenindex verify` refuses a record by a version that was not in force.",
        ),
        (),
        ("the rationale for adopting this methodology", "who reviews and approves it, and how often"),
    ),
    Item(
        "Article 27(2)(c)",
        "Criteria and procedures: input data, their priority, the minimum needed, models and extrapolation, "
        "rebalancing",
        (
            "No model and no extrapolation takes part, but for what is stated here: a last believed price is kept, "
            "and a component that is not sold on its own takes the price of another. The minimum of input data is "
            "that of the last calculated figure of the waterfall.",
        ),
        ("inputs", "volumes", "screens", "workloads", "consolidation", "formula", "waterfall"),
    ),
    Item(
        "Article 27(2)(d)",
        "Controls and rules for judgement or discretion by the administrator or contributors",
        (
            "A judgment is one row of a captured file: which price, which decision, why, who decided and who "
            "approved. It counts from when the file was captured and cannot be dated back. One of the same person "
            "twice is refused when it is read.",
        ),
        ("judgment", "guards", "release"),
        ("rules for the people who exercise judgement: positions, training, conflicts of interest",),
    ),
    Item(
        "Article 27(2)(e)",
        "Determination in periods of stress, or where sources may be insufficient, inaccurate or unreliable",
        (
            "Inaccurate prices are held back or not believed by fixed rules, and `tokenindex check` lists them before "
            "a fixing is made. Where inputs are insufficient the waterfall decides, and a fixing below its first "
            "step is a contingency on record. In such periods the figure may follow the market late: prices are held "
            "until confirmed, and last prices are kept.",
        ),
        ("guards", "outliers", "waterfall"),
    ),
    Item(
        "Article 27(2)(f)",
        "Errors in input data or in the determination, and when the benchmark is determined again",
        (
            "A captured file is never changed: what a source corrects is a new capture, known from when it was "
            "captured. A determination is repeated from the captures known at a named moment; what then becomes of a "
            "figure that differs (`tokenindex restate`), the document decides. `tokenindex errata` determines every "
            "published figure again and lists the differences by cause.",
        ),
        ("restatement", "publication"),
        ("how users are told of a restatement or a correction",),
    ),
    Item(
        "Article 27(2)(g)",
        "Potential limitations: illiquid or fragmented markets, concentration of inputs",
        (
            "Volumes are those of {volumes.sources} and of no other source; prices are those that the sources named "
            "under inputs report. Fragmentation: each vendor sets prices of its own, and hosts and routers others "
            "for the same model; the tier decides, not an average. Concentration: every fixing states its "
            "constituents and vendors, its coverage, and the share of the weight by tier; `tokenindex explain` shows "
            "each weight. Limits on concentration, if there are any:",
        ),
        ("formula",),
        ("liquidity of the market, and other limitations",),
    ),
    Item(
        "Article 27(2a)",
        "How environmental, social and governance factors are reflected",
        (
            "No parameter of the document reflects environmental, social or governance factors: models enter and "
            "weigh by their prices and volumes.",
        ),
        (),
        ("that the benchmark does not pursue such objectives, or the explanation",),
    ),
    Item(
        "Delegated Regulation, Article 1(1)(a)",
        "Date of publication of the statement, and of its last update",
        (),
        (),
        ("the dates",),
    ),
    Item(
        "Delegated Regulation, Article 1(1)(b)", "ISIN, where available", (), (), ("the ISIN, or that there is none",)
    ),
    Item(
        "Delegated Regulation, Article 1(1)(c)",
        "Whether input data are contributed",
        ("Sources of prices and volumes are those of the document, under `inputs` and `volumes`.",),
        (),
        ("whether any of them is a contributor",),
    ),
    Item(
        "Delegated Regulation, Article 1(1)(d)",
        "The type of benchmark under Title III of the Regulation",
        (),
        (),
        ("the type and the provision by which it is of that type",),
    ),
    Item(
        "Delegated Regulation, Article 1(2)(a)",
        "General description of the market or economic reality",
        (),
        ("measures",),
    ),
    Item(
        "Delegated Regulation, Article 1(2)(b)",
        "Geographical boundaries",
        ("Which regions enter is part of the screens:",),
        ("screens",),
        ("geographical boundaries of the market, if any",),
    ),
    Item(
        "Delegated Regulation, Article 1(2)(c)",
        "Participants in the market, and its size",
        (
            "Vendors: {measures.vendors}. `tokenindex explain` names the constituents of a date; every fixing states "
            "all known tokens of its window (`volume`) and how much of them is in use (`volume_coverage`).",
        ),
        (),
        ("actual and potential participants", "the size of the market"),
    ),
    Item(
        "Delegated Regulation, Article 1(3)(a)",
        "When input data would not suffice for a determination",
        (),
        ("waterfall",),
    ),
    Item(
        "Delegated Regulation, Article 1(3)(b)",
        "When accuracy and reliability of the methodology can no longer be ensured",
        (
            "Signs of it that are measured: prices held back, sources not looked at and unmapped volume (`tokenindex "
            "check`, `tokenindex unmapped`), coverage, and prices carried from earlier dates (in every fixing).",
        ),
        (),
        ("from which point on reliability is deemed not to be ensured",),
    ),
    Item(
        "Delegated Regulation, Article 1(3)(c)",
        "Other circumstances in which the measurement may become unreliable",
        (),
        (),
        ("exceptional events of this market",),
    ),
    Item(
        "Delegated Regulation, Article 1(4)",
        "Steps of the evaluation of discretion afterwards, and who is responsible for it",
        (
            "- the judgments of a date are read from the ledger (`tokenindex ledger`), each with its reason and the "
            "figures with and without it\n- the captured file of each is found by the digest that its entry names\n- "
            "the fixing is repeated by `tokenindex verify`",
        ),
        (),
        ("the positions of those who evaluate",),
    ),
    Item(
        "Delegated Regulation, Article 1(5)",
        "Public consultation on material changes to the methodology",
        (
            "What a consultation can be given: the new document, `tokenindex methodology diff`, and `tokenindex "
            "methodology impact`.",
        ),
        (),
        ("the procedure of consultation",),
    ),
    Item(
        "Delegated Regulation, Articles 2 to 5",
        "Regulated-data, interest rate, commodity and critical benchmarks",
        ("What is measured are prices of tokens, and no interest rate.",),
        (),
        ("what these Articles ask for, if the benchmark is of such a type",),
    ),
    Item(
        "Delegated Regulation, Article 6",
        "When the statement is updated",
        (
            "Whenever it ceases to be correct or precise, and on a change of the type or a material change of the "
            "methodology. It is generated from the document: `tokenindex methodology statement` of the version in "
            "force is up to date but for the open fields.",
        ),
    ),
)
"""Article 27 of Regulation (EU) 2016/1011 and Delegated Regulation (EU) 2018/1643, item by item."""


KINDS: Final = ("key", "publication", "contingency", "judgment", "restatement", "correction", "cessation")
"""Kinds of entries of the ledger."""


@dataclass(frozen=True)
class Principle:
    """One of the principles: its title, what this software evidences, what it cannot, and the entries that are counted."""

    title: str
    evidence: str
    left: str
    kinds: tuple[str, ...] = ()


PRINCIPLES: Final = (
    Principle(
        "Overall Responsibility of the Administrator",
        "The document names the administrator. A determination can be repeated by anybody: `tokenindex fix`, "
        "`tokenindex verify`.",
        "legal responsibility, governance, and the credible and transparent exercise of both",
    ),
    Principle(
        "Oversight of Third Parties",
        "Every captured file is named by its digest and says from whom, when and how it was got; `tokenindex fetch` "
        "asks listed addresses only. Third parties that collect or calculate can be checked by repeating their work.",
        "agreements with third parties, their oversight and contingency plans",
    ),
    Principle(
        "Conflicts of Interest for Administrators",
        "The ledger keeps every judgment and every restatement with the reason and the people behind it. Every record "
        "holds the weight of each constituent, with its vendor.",
        "policies, disclosures, separation of functions, remuneration",
    ),
    Principle(
        "Control Framework for Administrators",
        "Nothing that is stored is changed: captures, records and entries are written once, the list of captures and "
        "the ledger are chains of digests, and entries are signed if a key is on record. A judgment needs two "
        "people, a restatement the approvers that the document asks for.",
        "the framework itself, whistleblowing, expertise and training of people",
        ("key",),
    ),
    Principle(
        "Internal Oversight",
        "What oversight needs is kept: judgments with the figures with and without them, contingencies, restatements. "
        "`tokenindex errata` repeats every published figure, and `tokenindex methodology impact` tries a proposed "
        "change.",
        "an oversight function, its members, terms of reference and minutes",
        ("judgment",),
    ),
    Principle(
        "Benchmark Design",
        "The document states what is measured, in which market, by which formula and with which limits on "
        "concentration; `tokenindex methodology text` says it in words. Coverage, tiers of sources and numbers of "
        "vendors stand in every fixing.",
        "why the design represents the market; its size, liquidity and dynamics",
    ),
    Principle(
        "Data Sufficiency",
        "The minimums of the waterfall are checked for every fixing, and below them the status says so or there is no "
        "figure. `tokenindex unmapped` lists volume that is not covered.",
        "whether prices that are asked rest on an active market with transactions",
        ("contingency",),
    ),
    Principle(
        "Hierarchy of Data Inputs",
        "Sources have tiers in the document, and the share of the weight by tier stands in every fixing. Where "
        "judgment may enter is stated in the document, and each use is on record.",
        "the reasons for the hierarchy",
    ),
    Principle(
        "Transparency of Benchmark Determinations",
        "A record holds every report on a model of the index that was considered, used or not, with the reason, and "
        "every weight; `tokenindex publish` stores it with the figure, and `tokenindex explain` shows it, with "
        "status, coverage and what moved the figure.",
        "publication of the explanation with each determination",
        ("publication",),
    ),
    Principle(
        "Periodic Review",
        "Series of statuses, coverage and carried prices over time (`tokenindex backfill`); unmapped volume and "
        "successors of withdrawn models (`tokenindex unmapped`, `tokenindex explain`).",
        "the review, its frequency, and the publication of its summary",
    ),
    Principle(
        "Content of the Methodology",
        "The document is the method: it is executed, every parameter stands in it, no rule has a default, and an "
        "unknown or missing key is an error. `tokenindex methodology text` prints all of it. Errors that are found "
        "become restatements or corrections, as the document says.",
        "the rationale; the procedures for reviews and for reports of errors",
        ("restatement", "correction"),
    ),
    Principle(
        "Changes to the Methodology",
        "A version in force is not changed: its digest stands in every record. `tokenindex methodology diff` names "
        "what a new version changes, `tokenindex methodology impact` which figures, weights and settlement prices it "
        "would have changed.",
        "rationale, consultation, time for comments, publication of the change",
    ),
    Principle(
        "Transition",
        "A cessation (`tokenindex cease`) is on record with its last fixing date, reason and approvers. Old and new "
        "versions can be determined side by side over any history for which inputs are held.",
        "transition policies, alternatives, and fallbacks in contracts",
        ("cessation",),
    ),
    Principle(
        "Submitter Code of Conduct",
        "Captured files of any source, submitters included, are kept as they came. `tokenindex release` averages the "
        "figures of several buyers so that none can be seen.",
        "whether there are submitters; if so, the code of conduct and its enforcement",
    ),
    Principle(
        "Internal Controls over Data Collection",
        "`tokenindex fetch` keeps how each file was got, within limits that stand in a file; guards hold prices back "
        "that look mistaken, and `tokenindex check` lists them, with sources that were not looked at.",
        "controls over people and systems that collect data",
    ),
    Principle(
        "Complaints Procedures",
        "A complaint about a figure can be settled by repeating it: `tokenindex show` gives the figure as published "
        "and as corrected, `tokenindex verify` and `tokenindex explain` repeat it; a restatement or a correction is "
        "on record with its reason.",
        "the procedure, its publication, and the handling of complaints",
    ),
    Principle(
        "Audits",
        "An auditor repeats any published figure from the captured files, by digest and cell by cell, with "
        "`tokenindex verify`, without trust in the machine that made it. `tokenindex bundle` writes the evidence "
        "into one file that is verified without the home.",
        "appointment of an auditor, scope, frequency and reports",
    ),
    Principle(
        "Audit Trail",
        "Captures, registries, documents, records and the ledger are kept together and name each other by digest; an "
        "entry that was changed, or removed from between others, is found (`tokenindex ledger`), as is a ledger that "
        "was cut short by whoever holds an anchor of it (`tokenindex anchor`). Judgments name the people and the "
        "reasons.",
        "how long it is kept, and copies of it elsewhere; identities behind names",
        KINDS,
    ),
    Principle(
        "Cooperation with Regulatory Authorities",
        "The evidence of published figures can be handed over as one file (`tokenindex bundle`) and checked without "
        "the administrator; captured files that may not be passed on are named by their digests.",
        "cooperation, and access to documents and people",
    ),
)
"""The principles of IOSCO for financial benchmarks, by their number."""
