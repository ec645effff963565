"""Learners of others, each with the settings that are tried on the earlier weeks. It reads no data."""

import lightgbm
import numpy as np
import xgboost
from sklearn.ensemble import RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

THREADS = 2


def forest(**settings):
    return RandomForestClassifier(n_jobs=THREADS, random_state=1, **settings)


def boosted(**settings):
    return xgboost.XGBClassifier(tree_method="hist", n_jobs=THREADS, random_state=1, eval_metric="logloss", **settings)


def light(**settings):
    return lightgbm.LGBMClassifier(n_jobs=THREADS, random_state=1, verbosity=-1, subsample_freq=1, **settings)


def logistic(**settings):
    return make_pipeline(SimpleImputer(add_indicator=True), StandardScaler(),
                         LogisticRegression(max_iter=1000, **settings))


PEERS = {
    "XGBoost": (boosted, [
        dict(n_estimators=100, max_depth=3, learning_rate=0.1),
        dict(n_estimators=200, max_depth=4, learning_rate=0.05, subsample=0.7, colsample_bynode=0.4),
        dict(n_estimators=200, max_depth=6, learning_rate=0.05, subsample=0.7, colsample_bynode=0.4),
        dict(n_estimators=200, max_depth=6, learning_rate=0.05, subsample=0.7, colsample_bynode=0.4, max_bin=1024,
             min_child_weight=0.3),
    ]),
    "LightGBM": (light, [
        dict(n_estimators=100, num_leaves=16, learning_rate=0.05, min_child_samples=20),
        dict(n_estimators=100, num_leaves=16, learning_rate=0.05, min_child_samples=20, min_child_weight=0.0,
             subsample=0.6, colsample_bytree=0.6, reg_lambda=1, max_bin=1023),
        dict(n_estimators=200, num_leaves=16, learning_rate=0.05, min_child_samples=50, min_child_weight=0.0,
             subsample=0.6, colsample_bytree=0.6, reg_lambda=1),
        dict(n_estimators=100, num_leaves=16, learning_rate=0.05, min_child_samples=20, min_child_weight=0.0,
             subsample=0.6, colsample_bytree=0.6, reg_lambda=1, extra_trees=True),
    ]),
    "scikit-learn logistic regression": (logistic, [
        dict(C=1.0),
        dict(C=0.01),
    ]),
    "scikit-learn random forest": (forest, [
        dict(n_estimators=100, min_samples_leaf=5, max_features=0.5),
        dict(n_estimators=100),
    ]),
}


def scores(make, settings, train, frauds, test):
    """The probabilities that a learner gives the test rows."""
    learner = make(**settings)
    learner.fit(train, frauds.astype(np.int32))
    return learner.predict_proba(test)[:, 1]
