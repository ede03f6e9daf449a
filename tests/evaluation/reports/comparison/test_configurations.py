"""What tells runs apart, and which configurations are the best."""

from malaria_exp.evaluation.reports.comparison.compared_run import ComparedRun
from malaria_exp.evaluation.reports.comparison.configurations import Configuration, best_first, compare_configs, shorten
from malaria_exp.runs.compared_runs import flat_config


def test_what_an_option_decides_is_no_news_beside_the_option():
    def run(model, **params):
        config = {"seed": 0, "model": {"name": model, **params}, "aug": {"dihedral": {"p": 1.0}}}
        return ComparedRun(model, None, "done", config=flat_config(config))

    columns, same = compare_configs(
        [run("cellnet", stem=16, dropout=0.1), run("vit", depth=4, dropout=0.1), run("vit", depth=4, dropout=0.5)]
    )
    assert [(column.key, column.follows) for column in columns] == [
        ("model", None),
        ("model.dropout", None),
        ("model.stem", "model"),
        ("model.depth", "model"),
    ]
    assert same == {"seed": 0, "aug": "dihedral", "aug.dihedral.p": 1.0}


def configuration(label, objective, test, monitor="val_auc"):
    run = ComparedRun(label, None, "done", objective=objective, monitor=monitor, results={"auc": (test, None, None)})
    return Configuration(label, (run,))


def test_the_best_are_the_best_on_validation_never_on_test():
    groups = [configuration("a", 0.7, 0.99), configuration("b", 0.9, 0.5), configuration("c", None, 0.8)]
    ranked, by = best_first(groups)
    assert ([one.label for one in ranked], by) == (["b", "a", "c"], "best on validation")
    losses = [configuration("a", 0.7, 0.99, "val_loss"), configuration("b", 0.3, 0.5, "val_loss")]
    assert [one.label for one in best_first(losses)[0]] == ["b", "a"]
    ranked, by = best_first([groups[0], losses[1]])
    assert ([one.label for one in ranked], by) == (["a", "b"], "first")


def test_a_long_text_keeps_its_ends():
    assert shorten("a" * 50 + "b" * 50, 11) == "aaaaa…bbbbb"
