"""The remedies of errors, in the command line's words: which option to add, or which command to run first."""

from __future__ import annotations

from ctlymph.core.errors import CtlymphError, Remedy

OPTIONS = {
    Remedy.OVERWRITE: "choose another name, or add --overwrite",
    Remedy.SERIES: "choose one with --series",
    Remedy.NO_SERIES: "leave --series out",
    Remedy.ALLOW_GAPS: "fetch them, or add --allow-gaps to interpolate",
    Remedy.NO_SPLIT: "leave --split out",
    Remedy.NODES: "give the CT, and --nodes {nodes}",
    Remedy.CPU: "use --device cpu, or install a PyTorch for your GPU",
    Remedy.TRAIN: "train it first: ctlymph train {method} COLLECTION -o MODEL, then --model MODEL",
    Remedy.MASKS: "detect again with --formats csv,json,masks",
    Remedy.DOWNLOAD: "fetch them: ctlymph collection download FOLDER --what {kinds}",
    Remedy.DOWNLOAD_CASE: "fetch them: ctlymph collection download FOLDER --cases {case} --what {kinds}",
    Remedy.SKIP_INCOMPLETE: "download these, or go on without the cases: --skip-incomplete",
    Remedy.OTHER_SOURCE: "try --source nbia",
}


def in_options(error: CtlymphError) -> str:
    """Return an error's text with its remedy worded as options.

    Args:
        error: What a command caught.

    Returns:
        The text to print, not yet cut into one line.
    """
    if error.remedy is None:
        return str(error)
    return f"{error.message}; {OPTIONS[error.remedy].format(**error.values)}"
