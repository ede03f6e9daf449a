"""CLAIM: the Checklist for Artificial Intelligence in Medical Imaging, 2024 update, its 44 items in short.

Numbers, sections and order are those of Tejani et al. 2024. The wording is shorter, and this program's: the checklist is the RSNA's.
"""

from malaria_exp.deployment.card.checklists import Checklist, Item

SOURCE = "Tejani et al., Radiology: Artificial Intelligence 2024;6(4):e240300, https://doi.org/10.1148/ryai.240300"
DATA = "See the publication of the data set"
EXTERNAL = "Other data: task=evaluate dataset=..., then runs=[...] here; or why there is none."

_TITLE, _INTRODUCTION, _DESIGN, _DATA = "Title and abstract", "Introduction", "Methods: study design", "Methods: data"
_STANDARD, _PARTITIONS, _TESTING = "Methods: reference standard", "Methods: data partitions", "Methods: testing data"
_MODEL, _TRAINING, _EVALUATION = "Methods: model", "Methods: training", "Methods: evaluation"
_RESULTS, _PERFORMANCE, _DISCUSSION, _OTHER = "Results: data", "Results: performance", "Discussion", "Other information"

CLAIM = Checklist(
    "CLAIM 2024",
    SOURCE,
    (
        Item("1", _TITLE, "Names the AI method, by its kind", ("technology",), "Title and abstract of the paper."),
        Item(
            "2",
            _TITLE,
            "Structured summary of design, methods, results, conclusions",
            (),
            "The abstract; the numbers are under Results.",
        ),
        Item("3", _INTRODUCTION, "Background, intended use and clinical role", ("intended",), "The background, and the role in a clinic."),
        Item("4", _INTRODUCTION, "Aims, objectives, hypotheses", (), "What was to be shown, and when that was decided."),
        Item("5", _DESIGN, "Prospective or retrospective", (), f"When cells were collected is not recorded. {DATA}."),
        Item("6", _DESIGN, "Goal of the study", ("goal",), "Whether it is a feasibility study, a comparison, a trial."),
        Item("7", _DATA, "Sources of the data", ("data_source", "pooled"), "Citation and link of the data set, and its license."),
        Item("8", _DATA, "Criteria of inclusion and exclusion", ("excluded", "never_tested"), f"Criteria for patients. {DATA}."),
        Item("9", _DATA, "Preprocessing", ("preprocessing",), f"What was done before, such as segmentation of cells. {DATA}."),
        Item(
            "10", _DATA, "Selection of subsets of the data, such as crops", ("excluded",), f"How cells were cut out, and by whom. {DATA}."
        ),
        Item(
            "11", _DATA, "De-identification", (), f"{DATA}. This card names no patient; split.csv and predictions.csv do, as the data does."
        ),
        Item("12", _DATA, "Handling of missing data", ("excluded", "labels"), "Missing data about patients, if any was used."),
        Item("13", _DATA, "Image acquisition protocol", (), f"Stain, microscope, magnification, camera. {DATA}."),
        Item("14", _STANDARD, "Definition of the reference standard", ("labels",), f"How a cell came into its class. {DATA}."),
        Item("15", _STANDARD, "Why this reference standard", (), "Expert microscopy beside PCR, for example."),
        Item("16", _STANDARD, "Who annotated, with which qualification", (), f"{DATA}."),
        Item("17", _STANDARD, "How the test set was annotated", ("labels",), f"Procedure and software. {DATA}."),
        Item("18", _STANDARD, "Variability within and between annotators", (), f"{DATA}; how disagreement was resolved."),
        Item("19", _PARTITIONS, "How data was assigned to partitions", ("partitions",)),
        Item("20", _PARTITIONS, "Level at which partitions are disjoint", ("disjoint",)),
        Item(
            "21",
            _TESTING,
            "Intended sample size and how it was determined",
            ("effective",),
            "A calculation made beforehand, or that there was none.",
        ),
        Item("22", _MODEL, "Description of the model", ("architecture",)),
        Item("23", _MODEL, "Software libraries, frameworks, packages", ("software",)),
        Item("24", _MODEL, "Initialization of parameters", ("initial_weights",)),
        Item("25", _TRAINING, "Training approach, augmentation, hyperparameters", ("training", "preprocessing")),
        Item(
            "26",
            _TRAINING,
            "How the final model was selected",
            ("selection", "test_access"),
            "Other runs that were tried: grids, searches.",
        ),
        Item("27", _TRAINING, "Ensembling", ("ensemble",)),
        Item("28", _EVALUATION, "Metrics of performance", ("metrics_used", "thresholds"), "Comparison with published models, if any."),
        Item("29", _EVALUATION, "Measures of uncertainty and significance", ("uncertainty",), "Tests between models: task=compare."),
        Item(
            "30",
            _EVALUATION,
            "Robustness or sensitivity analysis",
            ("per_patient",),
            "Other stains, cameras, seeds: task=pool pools seeds.",
        ),
        Item(
            "31",
            _EVALUATION,
            "Explainability",
            (),
            "Occlusion maps, if they are shown; docs/occlusion-maps.md says how well they find parasites.",
        ),
        Item("32", _EVALUATION, "Evaluation on internal data", ("accuracy", "tuning_accuracy")),
        Item(
            "33",
            _EVALUATION,
            "Testing on external data, or why not",
            ("external",),
            EXTERNAL,
        ),
        Item("34", _EVALUATION, "Registration of a clinical trial", (), "If it is one."),
        Item("35", _RESULTS, "Numbers included and excluded, as a flowchart", ("partitions", "excluded"), "The flowchart."),
        Item(
            "36",
            _RESULTS,
            "Demographic and clinical characteristics by partition",
            ("baseline",),
            f"Age, sex, species, parasitemia. {DATA}.",
        ),
        Item(
            "37",
            _PERFORMANCE,
            "Performance by partition and subgroup",
            ("accuracy", "tuning_accuracy", "per_patient"),
            "Other subgroups.",
        ),
        Item("38", _PERFORMANCE, "Diagnostic performance and its precision", ("accuracy",)),
        Item("39", _PERFORMANCE, "Failure analysis", ("confusion", "errors"), "What the worst errors have in common."),
        Item("40", _DISCUSSION, "Limitations", ("limits",), "What you know beyond the record."),
        Item("41", _DISCUSSION, "Implications for practice", ("intended",), "What would have to be shown before use in patients."),
        Item("42", _OTHER, "Full protocol or technical details", ("command", "hashes"), "Where the protocol is."),
        Item("43", _OTHER, "Availability of software, model and data", ("hashes",), "Addresses and licenses."),
        Item("44", _OTHER, "Funding and the role of funders", (), "Who paid."),
    ),
)
