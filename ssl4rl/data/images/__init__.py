"""Images as sources: sets of images, tables of questions about images, and images with classes.

Each is drawn by the package, registered by another, or read from a user's own files.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ssl4rl.registry import CLASSIFIED_IMAGES, IMAGE_SETS, QUESTION_SETS
from ssl4rl.source import SourceKind, imported

if TYPE_CHECKING:
    from ssl4rl.vision.classes import ClassifiedImages
    from ssl4rl.vision.image_set import ImageSet
    from ssl4rl.vision.questions import QuestionSet


def recognises_images_alone(path: str) -> bool:
    """Whether the path holds images and neither a graph nor questions."""
    from ssl4rl.data.graphs import GRAPH
    from ssl4rl.data.images.files import recognises_images

    return recognises_images(path) and not GRAPH.recognises(path) and not QUESTIONS.recognises(path)


IMAGES: SourceKind[ImageSet] = SourceKind(
    name="images",
    side="vision",
    default="scenes",
    default_noun="the embedded drawn scenes",
    registry=IMAGE_SETS,
    read=imported("ssl4rl.data.images.files:load_images"),
    recognises=recognises_images_alone,
    check=imported("ssl4rl.data.images.files:check_images"),
    summarise=imported("ssl4rl.data.images.summary:summarise_images"),
    shows_images=True,
    default_task="rotation",
)

QUESTIONS: SourceKind[QuestionSet] = SourceKind(
    name="questions",
    side="vision",
    default="scenes",
    default_noun="the embedded questions about drawn scenes",
    registry=QUESTION_SETS,
    read=imported("ssl4rl.data.images.questions:load_questions"),
    recognises=imported("ssl4rl.data.images.questions:recognises_questions"),
    check=imported("ssl4rl.data.images.questions:check_questions"),
    summarise=imported("ssl4rl.data.images.summary:summarise_questions"),
    shows_images=True,
)

CLASSES: SourceKind[ClassifiedImages] = SourceKind(
    name="classes",
    side="vision",
    default="scenes",
    default_noun="the embedded drawn scenes",
    registry=CLASSIFIED_IMAGES,
    read=imported("ssl4rl.data.images.classes:load_classified"),
    recognises=lambda path: False,  # class folders are images: --kind classes says that more is meant
    check=imported("ssl4rl.data.images.classes:check_classified"),
    summarise=imported("ssl4rl.data.images.summary:summarise_classes"),
    shows_images=True,
)
