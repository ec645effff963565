"""Ranking quality with a weight for each card, so that resampled cards make intervals. It trains nothing.

The definitions are those of `gavel evaluate`; compare.py stops where the two do not agree.
"""

import numpy as np

DAY_MS = 86_400_000
CARDS_PER_DAY = 100


class Ranked:
    """One model's scores of some test rows, ready to be measured again and again."""

    def __init__(self, scores, test):
        time_ms, cards = test.time_ms.to_numpy(), test.card_number.to_numpy()
        order = np.lexsort((cards, time_ms, -scores))
        self.scores, self.cards = scores[order], cards[order]
        self.frauds = (test.label.to_numpy() == 1)[order]
        # The last row of each run of equal scores: a threshold takes all of them or none.
        self.ends = np.append(self.scores[1:] < self.scores[:-1], True)
        day = (time_ms // DAY_MS)[order]
        self.days = []
        for one in np.unique(day):
            rows = np.flatnonzero(day == one)
            compromised = np.zeros(self.cards.max() + 1, bool)
            np.logical_or.at(compromised, self.cards[rows], self.frauds[rows])
            _, first = np.unique(self.cards[rows], return_index=True)
            ranking = self.cards[rows[np.sort(first)]]
            self.days.append((ranking, compromised[ranking]))

    def measure(self, weight_of_card):
        """AUC, average precision, card precision@100 and recall at 1 % false positives."""
        weights = weight_of_card[self.cards]
        caught = np.cumsum(weights * self.frauds)[self.ends]
        alarms = np.cumsum(weights * ~self.frauds)[self.ends]
        frauds, legits = caught[-1], alarms[-1]
        before_caught = np.append(0.0, caught[:-1])
        area = np.sum(np.diff(alarms, prepend=0.0) * (caught + before_caught) / 2) / (frauds * legits)
        with np.errstate(invalid="ignore"):
            precision = np.nan_to_num(caught / (caught + alarms))
        average_precision = np.sum((caught - before_caught) * precision) / frauds
        allowed = np.flatnonzero(alarms <= 0.01 * legits)
        recall = caught[allowed[-1]] / frauds if len(allowed) else 0.0
        return np.array([area, average_precision, self.card_precision(weight_of_card), recall])

    def card_precision(self, weight_of_card):
        found = np.zeros(len(weight_of_card), bool)
        total = 0.0
        for ranking, compromised in self.days:
            weights = weight_of_card[ranking] * ~found[ranking]
            before = np.cumsum(weights) - weights
            taken = np.clip(CARDS_PER_DAY - before, 0.0, weights)
            total += np.sum(taken * compromised) / CARDS_PER_DAY
            found[ranking[(taken > 0) & compromised]] = True
        return total / len(self.days)


MEASURES = ["auc_roc", "average_precision", "card_precision_at_100", "recall_at_1pct_fpr"]


def compare(models, cards, resamples, seed=1):
    """`models`: by name, a list of Ranked, one for each test period; the mean over periods counts.

    For each: the values, and the 2.5th and 97.5th percentiles of the resamples; and of the first model less each other
    one on the same resamples.
    """
    names = list(models)
    mean = lambda name, weights: np.mean([ranked.measure(weights) for ranked in models[name]], axis=0)
    whole = {name: mean(name, np.ones(cards)) for name in names}
    random = np.random.default_rng(seed)
    drawn = {name: [] for name in names}
    for _ in range(resamples):
        weights = np.bincount(random.integers(0, cards, cards), minlength=cards).astype(float)
        for name in names:
            drawn[name].append(mean(name, weights))
    interval = lambda rows: np.nanpercentile(rows, [2.5, 97.5], axis=0)
    told = {}
    for name in names:
        low, high = interval(np.array(drawn[name]))
        difference = np.array(drawn[names[0]]) - np.array(drawn[name])
        ahead_low, ahead_high = interval(difference)
        told[name] = {"value": whole[name], "low": low, "high": high, "ahead": whole[names[0]] - whole[name],
                      "ahead_low": ahead_low, "ahead_high": ahead_high}
    return told
