"""CIDEr of a network's captions of the validation pictures, during training.

Uses the Python tokenizer, so that training needs no Java; `unrolled evaluate` has all metrics.
"""

import torch
from rich.console import Console

from model.captioning.captioner import Captioner
from model.evaluation.metrics import Scorer
from model.reporting.progress import batches
from model.training.captioner.data import TrainingData

__all__ = ["CiderValidation"]


class CiderValidation:
    """Scores captions of the validation pictures of each set.

    Args:
        data: the sets.
        batch_size: pictures captioned at once.
    """

    def __init__(self, data: TrainingData, batch_size: int = 50) -> None:
        self._data = data
        self._batch_size = batch_size
        self._scorers = [
            Scorer([entry.captions for entry in entries], java=False) for entries in data.validation
        ]

    def __call__(self, captioner: Captioner, console: Console) -> dict[str, float]:
        """Return `cider` (the mean over the sets) and, for each set, its CIDEr and BLEU-4.

        Progress is shown on the console.
        """
        values: dict[str, float] = {}
        ciders = []
        for index, scorer in enumerate(self._scorers):
            scores = scorer.score(self._captions(captioner, index, console))
            name = self._data.sets[index].name
            values[f"{name}/cider"], values[f"{name}/bleu_4"] = scores.cider, scores.bleu_4
            ciders.append(scores.cider)
        return {"cider": sum(ciders) / len(ciders)} | values

    def _captions(self, captioner: Captioner, dataset: int, console: Console) -> list[str]:
        entries = range(len(self._data.validation[dataset]))
        what = f"validating on {self._data.sets[dataset].name}"
        cached = self._data.cached
        texts: list[str] = []
        for some in batches(entries, self._batch_size, what=what, console=console):
            batch = self._data.validation_batch(dataset, some[0], some[-1] + 1)
            grid = batch.to(captioner.device, torch.float32) if cached else captioner.encode(batch)
            texts += [best[0].text for best in captioner.search(grid, num_captions=1)]
        return texts
