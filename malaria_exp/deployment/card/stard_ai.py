"""STARD-AI: standards for reporting studies of diagnostic accuracy with AI, 2025, its 40 items (48 with sub-items) in short.

Numbers, sections and order are those of Sounderajah et al. 2025, table 2. The wording is shortened.
"""

from malaria_exp.deployment.card.checklists import Checklist, Item
from malaria_exp.deployment.card.claim_2024 import DATA, EXTERNAL

SOURCE = "Sounderajah et al., Nature Medicine 2025;31:3283-3289, https://doi.org/10.1038/s41591-025-03953-8"

_TITLE, _INTRODUCTION, _DESIGN, _PATIENTS = "Title and abstract", "Introduction", "Methods: design and ethics", "Methods: participants"
_DATASET, _TEST, _ANALYSIS = "Methods: dataset", "Methods: test methods", "Methods: analysis"
_RESULTS, _TEST_RESULTS, _DISCUSSION, _OTHER = (
    "Results: participants and dataset",
    "Results: test results",
    "Discussion",
    "Other information",
)

STARD_AI = Checklist(
    "STARD-AI 2025",
    SOURCE,
    (
        Item(
            "1",
            _TITLE,
            "Identified as a study of AI-centered diagnostic accuracy, with a measure of it",
            ("technology",),
            "Title or abstract of the paper.",
        ),
        Item("2", _TITLE, "Structured summary", (), "The abstract; the numbers are under Results."),
        Item(
            "3",
            _INTRODUCTION,
            "Background, intended use, novelty, place in a workflow",
            ("intended",),
            "The background, and the place in a workflow.",
        ),
        Item("4", _INTRODUCTION, "Objectives and hypotheses", (), "What was to be shown, and when that was decided."),
        Item("5", _DESIGN, "Prospective or retrospective collection", (), f"When cells were collected is not recorded. {DATA}."),
        Item("6", _DESIGN, "Approval of an ethics committee, or why none was required", (), f"{DATA}, and your own institution."),
        Item(
            "7",
            _PATIENTS,
            "Criteria of inclusion and exclusion, for participants and data",
            ("excluded", "never_tested"),
            f"Criteria for patients. {DATA}.",
        ),
        Item("8", _PATIENTS, "On what basis participants were identified", (), f"{DATA}."),
        Item("9", _PATIENTS, "Where and when", (), f"{DATA}."),
        Item("10", _PATIENTS, "Consecutive, random or convenience series", (), f"{DATA}."),
        Item(
            "11",
            _DATASET,
            "Source of the data, and how they were collected",
            ("data_source", "pooled"),
            "Routine, for a study, or from a repository.",
        ),
        Item("12", _DATASET, "Who annotated, with which experience, and how", (), f"{DATA}."),
        Item(
            "13", _DATASET, "Devices that captured the data; software of the index test", ("software",), f"Microscope and camera. {DATA}."
        ),
        Item("14", _DATASET, "Acquisition and preprocessing", ("preprocessing",), f"Stain, magnification, segmentation. {DATA}."),
        Item("15a", _TEST, "Index test, to be replicated", ("architecture", "calibration", "command")),
        Item("15b", _TEST, "How the index test was developed, with sample sizes", ("training", "selection", "partitions", "test_access")),
        Item("15c", _TEST, "Positivity cutoffs, prespecified or exploratory", ("thresholds",), "Whether they were fixed before the study."),
        Item("15d", _TEST, "End user, and the expertise required", ("intended",), "The end user of your study."),
        Item("16a", _TEST, "Reference standard, to be replicated", ("labels",), f"How a cell came into its class. {DATA}."),
        Item("16b", _TEST, "Why this reference standard", (), "Expert microscopy beside PCR, for example."),
        Item("16c", _TEST, "Cutoffs of the reference standard", ("labels",), f"{DATA}."),
        Item("17a", _TEST, "What was known to those who ran the index test", ("blind",)),
        Item(
            "17b",
            _TEST,
            "What was known to those who assessed the reference standard",
            (),
            f"{DATA}; labels older than the model cannot know its results.",
        ),
        Item(
            "18",
            _ANALYSIS,
            "Methods of estimating or comparing accuracy",
            ("metrics_used", "uncertainty"),
            "Comparisons, if any: task=compare.",
        ),
        Item("19", _ANALYSIS, "Indeterminate results", ("thresholds", "foreign"), "Indeterminate results of the reference standard."),
        Item("20", _ANALYSIS, "Missing data", ("excluded",), "Missing reference standard. See the publication of the data set."),
        Item("21", _ANALYSIS, "Variability of accuracy, prespecified or exploratory", ("per_patient",), "Which analyses were planned."),
        Item(
            "22",
            _ANALYSIS,
            "Intended sample size and how it was determined",
            ("effective",),
            "A calculation made beforehand, or that there was none.",
        ),
        Item(
            "23",
            _ANALYSIS,
            "Error analysis, assessment of bias and fairness",
            ("per_patient", "errors"),
            "Age, sex, origin: the record holds none of them.",
        ),
        Item("24", _RESULTS, "Flow of participants, as a diagram", ("partitions", "excluded"), "The diagram."),
        Item(
            "25",
            _RESULTS,
            "Characteristics of training, validation and test sets",
            ("baseline",),
            f"Age, sex, species, parasitemia. {DATA}.",
        ),
        Item("26a", _RESULTS, "Distribution of severity", (), f"Parasitemia and stages. {DATA}."),
        Item("26b", _RESULTS, "Alternative diagnoses in those without the condition", (), f"{DATA}."),
        Item(
            "27",
            _RESULTS,
            "Time and interventions between index test and reference standard",
            (),
            f"{DATA}; both look at the same image.",
        ),
        Item(
            "28",
            _RESULTS,
            "Whether the data represents the intended population",
            ("partitions",),
            "The prevalence where it would be used; PPV and NPV depend on it.",
        ),
        Item(
            "29",
            _RESULTS,
            "How external data differs from the others",
            ("external",),
            EXTERNAL,
        ),
        Item("30", _TEST_RESULTS, "Cross-tabulation with the reference standard", ("confusion",)),
        Item("31", _TEST_RESULTS, "Estimates of accuracy and their precision", ("accuracy",)),
        Item("32", _TEST_RESULTS, "Adverse events", (), "From taking the blood; scoring an image has none."),
        Item("33", _DISCUSSION, "Limitations: bias, uncertainty, generalizability", ("limits",), "What you know beyond the record."),
        Item("34", _DISCUSSION, "Implications for practice", ("intended",), "What would have to be shown before use in patients."),
        Item("35", _DISCUSSION, "Ethics and fairness of using the index test", (), "Who is helped and who may be harmed by its errors."),
        Item("36", _OTHER, "Registration", (), "Registry and number."),
        Item("37", _OTHER, "Where the protocol is", ("command",), "The study's protocol."),
        Item("38", _OTHER, "Funding and the role of funders", (), "Who paid."),
        Item("39", _OTHER, "Commercial interests", (), "Yours, or that there are none."),
        Item("40a", _OTHER, "Availability of data and code, and restrictions", ("hashes",), "Addresses and licenses."),
        Item("40b", _OTHER, "Whether outputs are stored and can be audited", ("audit",), "Where the run folder is kept, and who may look."),
    ),
)
