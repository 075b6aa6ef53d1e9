"""Whether train and validation share images, and whether they number the classes alike."""

from __future__ import annotations

import bisect
import itertools
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from augreg.doctor.arrays import digest, to_array
from augreg.doctor.findings import Findings
from augreg.doctor.labels import class_names, class_numbers, with_wrapped
from augreg.doctor.probing import Subject, length
from augreg.doctor.statistics import LoaderStatistics

__all__ = ["examine"]

_FILE_LISTS = ("samples", "imgs", "files", "paths", "image_paths", "image_files", "img_paths", "filenames", "images")
_TABLES = ("pandas", "polars", "numpy")
_MOST_BYTES = 1 << 30
_STEP = 10_000  # keys between two reports of progress
_DEPTH = 10
_FEW = 0.05  # of the validation images; data sets have some duplicates


def examine(
    train: Subject,
    other: Subject,
    measured: Mapping[str, LoaderStatistics],
    where: str,
    by_dataset: bool,
    findings: Findings,
) -> None:
    """Report images of `other`, a validation or test loader, that are trained on too, and classes that differ.

    `by_dataset` is whether the classes are those of the datasets, and not told by the user.
    """
    if by_dataset:
        _class_numbers(train, other, where, findings)
    if train.map_style and other.map_style:
        one, two = _places(train), _places(other)
        if one and two:
            shared = _shared_indices(one, two, other, where, findings)
            if shared is None:
                shared = _shared_files(one, two, other, where, findings)
            if shared is None:
                shared = _shared_arrays(one, two, other, where, findings)
            if shared:
                return
        else:
            findings.unchecked(f"{where}: whether both sides read the same indices; their keys are no indices")
    _equal_images(train, other, measured, where, findings)


def _report(where: str, other: Subject, seen: str, many: bool, findings: Findings, samples: Any = ()) -> None:
    findings.add(
        "shared images",
        "fault" if many else "warning",
        where,
        seen,
        f"the metrics of {other.where} are measured on images that the network was trained on, so they are too good, "
        "and overfitting is not seen",
        "divide the images once, such as by random_split with a fixed generator, and give each side its own part",
        samples,
    )


class _Place(NamedTuple):
    """The number of a sample in the dataset at the bottom.

    `wrapped` is whether a dataset around it may have its own transform. `row` identifies the sample: places of one
    sample, also of copies that share their rows, have the same.
    """

    base: Any
    number: int
    row: tuple[int, int]
    wrapped: bool


def _place(dataset: Any, index: Any, bottoms: dict[int, Any]) -> _Place:
    """The dataset at the bottom of Subset, ConcatDataset and wrappers of each sample, and the index in it.

    `bottoms` has, by id, the datasets that were found to wrap no other: None or, for tables, a function.
    """
    wrapped = False
    for _ in range(_DEPTH):
        if id(dataset) in bottoms:
            break
        inner = getattr(dataset, "dataset", None)
        indices = getattr(dataset, "indices", None)
        if inner is not None and indices is not None and hasattr(indices, "__getitem__"):
            index = indices[index]
            dataset = inner
        elif hasattr(dataset, "cumulative_sizes") and hasattr(dataset, "datasets"):
            part = bisect.bisect_right(dataset.cumulative_sizes, index)
            index -= dataset.cumulative_sizes[part - 1] if part else 0
            dataset = dataset.datasets[part]
        elif hasattr(inner, "__getitem__") and not isinstance(inner, str) and length(inner) == length(dataset):
            dataset, wrapped = inner, True
        else:
            break
    if id(dataset) not in bottoms:
        table = type(dataset).__module__.startswith("datasets.") and hasattr(dataset, "_indices")
        bottoms[id(dataset)] = _rows_of_table(dataset) if table else None
    row = bottoms[id(dataset)]
    number = int(index)
    return _Place(dataset, number, (id(dataset), number) if row is None else row(number), wrapped or row is not None)


def _rows_of_table(dataset: Any) -> Callable[[int], tuple[int, int]]:
    """A function from the index of a Hugging Face dataset to the address of its row, which copies with other
    transforms, selections and divisions share."""
    chunks = dataset._data.table.column(0).chunks
    ends = list(itertools.accumulate(map(len, chunks)))
    addresses = [next(b.address for b in reversed(chunk.buffers()) if b is not None) for chunk in chunks]
    selected = None if dataset._indices is None else dataset._indices.column(0)

    def row(index: int) -> tuple[int, int]:
        index = index if selected is None else selected[index].as_py()
        number = bisect.bisect_right(ends, index)
        return addresses[number], chunks[number].offset + index - (ends[number - 1] if number else 0)

    return row


_Places = dict[tuple[int, int], _Place]
"""Places by their `row`."""


def _places(subject: Subject) -> _Places | None:
    """The places of all keys of an epoch; None if they are no indices."""
    places = {}
    bottoms: dict[int, Any] = {}
    keys = subject.keys()
    for done, key in enumerate(keys):
        if done % _STEP == 0:
            subject.watch.step(f"{subject.where}: indices", done, len(keys))
        index = key[1] if subject.keyed else key
        if not hasattr(index, "__index__"):
            return None
        try:
            place = _place(subject.dataset, int(index), bottoms)
        except Exception:  # indices of an unknown kind
            return None
        places[place.row] = place
    return places


def _shared_indices(one: _Places, two: _Places, other: Subject, where: str, findings: Findings) -> bool | None:
    """Whether both sides read the same indices of one dataset; None if they have no dataset in common."""
    if not {base for base, _ in one} & {base for base, _ in two}:
        return None
    both = [place.number for row, place in two.items() if row in one]
    findings.checked(f"{where}: whether both sides read the same indices of one dataset")
    if both:
        _report(
            where,
            other,
            f"both loaders read the same dataset: {len(both)} of the {len(two)} indices of {other.where} are "
            "trained on",
            len(both) > _FEW * len(two),
            findings,
            both,
        )
    elif not any(place.wrapped for place in (*one.values(), *two.values())):
        findings.add(
            "one dataset object",
            "note",
            where,
            "both loaders read parts of one dataset object, which has one transform",
            "training images are augmented by the transforms of validation, or the reverse: an assignment to "
            ".dataset.transform of a Subset, as random_split makes it, changes both sides",
            "make two dataset objects, one with each transform, and give both the same division of indices",
        )
    return bool(both)


def _shared_files(one: _Places, two: _Places, other: Subject, where: str, findings: Findings) -> bool | None:
    """Whether both sides read the same files; None if the files are not known."""
    first, second = _files(one), _files(two)
    if not first or not second:
        return None
    findings.checked(f"{where}: whether both sides read the same files")
    both = sorted(first & second)
    if both:
        seen = f"{len(both)} of the {len(second)} files of {other.where} are trained on"
        _report(where, other, seen, len(both) > _FEW * len(second), findings, both)
    return bool(both)


def _files(places: _Places) -> set[str]:
    """The files of places, from a list in the dataset that has a path for each index; empty if there is none."""
    lists: dict[int, list[Any] | None] = {}
    files = set()
    for base, index in ((place.base, place.number) for place in places.values()):
        if id(base) not in lists:
            lists[id(base)] = _file_list(base)
        paths = lists[id(base)]
        if paths is None:
            return set()
        item = paths[index]
        files.add(os.path.abspath(item[0] if isinstance(item, list | tuple) else item))  # noqa: PTH100 - for speed
    return files


def _file_list(dataset: Any) -> list[Any] | None:
    for owner, name in itertools.product((dataset, getattr(dataset, "reader", None)), _FILE_LISTS):  # timm's has one
        paths = getattr(owner, name, None)
        if isinstance(paths, list | tuple) and paths and len(paths) == length(dataset):
            first = paths[0][0] if isinstance(paths[0], list | tuple) and paths[0] else paths[0]
            if isinstance(first, str | os.PathLike) and Path(first).is_file():
                return list(paths)
    return _file_column(dataset)


def _file_column(dataset: Any) -> list[Any] | None:
    """The files in a column of a data frame, such as pandas', or in an array or series of texts.

    Paths may be relative to a folder that is an attribute of the dataset.
    """
    values = list(vars(dataset).values()) if hasattr(dataset, "__dict__") else []
    texts = [os.fspath(value) for value in values if isinstance(value, str | os.PathLike)]
    folders = ["", *(text for text in texts if os.path.isdir(text))]  # noqa: PTH112 - is_dir raises for long texts
    for value in values:
        if type(value).__module__.partition(".")[0] not in _TABLES or length(value) != length(dataset):
            continue
        for column in [value[name] for name in value.columns] if hasattr(value, "columns") else [value]:
            paths = list(column)
            if not paths or not all(isinstance(each, str | os.PathLike) for each in paths):
                continue
            for folder in folders:
                if os.path.isfile(os.path.join(folder, paths[0])):  # noqa: PTH113, PTH118
                    return [os.path.join(folder, each) for each in paths]  # noqa: PTH118
    return None


def _shared_arrays(one: _Places, two: _Places, other: Subject, where: str, findings: Findings) -> bool | None:
    """Whether both sides keep equal images in memory; None if they keep no arrays, or very large ones."""
    first, second = _rows(one), _rows(two)
    if not first or not second:
        findings.unchecked(f"{where}: whether both sides read the same files: no list of files was found")
        return None
    findings.checked(f"{where}: whether both sides keep equal images in memory, before their transforms")
    both = sorted(index for row, index in second.items() if row in first)
    if len(both) >= max(2, _FEW * len(second)):
        seen = f"{len(both)} of the {len(second)} images that {other.where} keeps in memory are trained on"
        _report(where, other, seen, len(both) > len(second) / 2, findings, both)
        return True
    return None


def _rows(places: _Places) -> dict[bytes, int]:
    """The digests of the images of places, from an array in the dataset that has one for each index."""
    arrays: dict[int, Any] = {}
    rows: dict[bytes, int] = {}
    for base, index in ((place.base, place.number) for place in places.values()):
        if id(base) not in arrays:
            arrays[id(base)] = _array_of(base)
        array = arrays[id(base)]
        if array is None:
            return {}
        row = array[index]
        if (row != row.flat[0]).any():
            rows.setdefault(digest(row), index)
    return rows


def _array_of(dataset: Any) -> Any:
    tensors = getattr(dataset, "tensors", None)
    for value in (tensors[0] if tensors else None, *(getattr(dataset, name, None) for name in ("data", "images"))):
        array = to_array(value)
        if array is not None and array.ndim >= 3 and len(array) == length(dataset) and array.nbytes <= _MOST_BYTES:
            return array
    return None


def _equal_images(
    train: Subject, other: Subject, measured: Mapping[str, LoaderStatistics], where: str, findings: Findings
) -> None:
    one, two = measured.get(train.where), measured.get(other.where)
    if one is None or two is None or not one.digests or not two.digests:
        return
    findings.checked(
        f"{where}: whether one of {len(two.digests)} images of {other.where} is bit-equal to one of "
        f"{len(one.digests)} images of {train.where}, which augmentation hides"
    )
    both = [place for image, place in two.digests.items() if image in one.digests]
    if len(both) >= max(2, _FEW * len(two.digests)):
        seen = f"{len(both)} of {len(two.digests)} images of {other.where} are bit-equal to images of {train.where}"
        _report(where, other, seen, len(both) > len(two.digests) / 2, findings, both)


def _class_numbers(train: Subject, other: Subject, where: str, findings: Findings) -> None:
    one, two = _numbers(train.dataset), _numbers(other.dataset)
    if not one or not two:
        return
    findings.checked(f"{where}: whether both sides give classes the same numbers")
    names = [name for name in one if name in two and one[name] != two[name]]
    numbers = {number: name for name, number in two.items()}
    taken = [name for name, number in one.items() if name not in two and number in numbers]
    if names or taken:
        shown = [f"{name!r}: {one[name]} and {two[name]}" for name in names[:6]]
        shown += [f"{one[name]}: {name!r} and {numbers[one[name]]!r}" for name in taken[: 6 - len(shown)]]
        findings.add(
            "classes differ",
            "fault",
            where,
            f"{len(names) + len(taken)} classes have other numbers, or numbers other classes: {', '.join(shown)}",
            "the network is judged by other classes than it was trained on. Numbers that are given by sorting the "
            "folders change when a side lacks a class",
            "use one mapping for both sides: the class_to_idx of train",
        )


def _numbers(dataset: Any) -> dict[str, int]:
    """The numbers of the classes: `class_to_idx`, also of a dataset inside, or else the order of the names."""
    for each in with_wrapped(dataset):
        if getattr(each, "target_transform", None) is not None:  # it may change the numbers
            return {}
        if numbers := class_numbers(each):
            return numbers
    return {name: number for number, name in enumerate(class_names(dataset))}
