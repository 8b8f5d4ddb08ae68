"""report/page.py: what the page says of probabilities, withheld answers and the images tested, in words."""

import re
from dataclasses import replace

import numpy as np
import pytest

from cnncli.evaluation.scores import score
from cnncli.model.calibration import calibrate
from cnncli.report import page

from .looks import evaluation
from .test_page import Read, rendered


def test_what_the_probabilities_were_worth_is_said_in_words_and_colours():
    sure = score(np.eye(2)[[1] * 25] * 3, np.repeat([0, 1], [5, 20]), ["a", "b"])
    read = Read(rendered(sure))
    assert "had a probability of 95.3\u202f%, and 80.0\u202f% of them are right: the model was too sure." in read.words
    shy = replace(sure, probabilities=np.tile([0.4, 0.6], (25, 1)))
    assert "60.0\u202f%, and 80.0\u202f% of them are right: the model was not sure enough." in Read(rendered(shy)).words
    for words in page.LEGEND.values():
        assert words in read.words


@pytest.mark.parametrize(("images", "words"), [
    (20, "The 20 validation images promise nothing about these shares. Below is why."),
    (100, "The least probabilities of 0.9 and 0.95 were chosen on 100 validation images, so that this share of the "
          "answers is right with 95 % confidence. The others are not promised. Below is why."),
    (600, "The least probabilities were chosen on 600 validation images, so that this share of the answers is right "
          "with 95 % confidence.")])
def test_what_withholding_promises_is_one_true_sentence(images, words):
    logits, labels = np.eye(2)[np.arange(images) % 2] * 6, np.arange(images) % 2
    found = score(logits, labels, ["a", "b"], calibration=calibrate(logits, labels))
    read = Read(rendered(found)).words
    assert words in " ".join(read.split(" ")).replace("\n", " ")
    assert ("nothing promises how many" in read) == (images < 600)
    assert ".All images" not in read


def test_no_two_sentences_run_together_and_names_keep_their_end():
    read = Read(rendered(evaluation(["a", "b", "c"], 60)))
    assert not re.search(r"[a-z)][.:][A-Z][a-z]", read.words)
    assert ".file { display: block; direction: rtl;" in read.inside["style"][0]
    assert [tag for tag, _ in read.elements].count("bdi") > 0
