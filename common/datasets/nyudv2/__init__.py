"""NYU Depth V2 with 40 classes."""

from common.datasets.about import About

ABOUT = About(
    title="NYU Depth V2: colour, depth and 40 classes of indoor scenes",
    source=(
        "prepared images with lists, as papers with 40 classes release them (their hosts have moved before); "
        "NYU Depth V2 itself is at its authors' page"
    ),
    size="1,449 images, 795 to train on and 654 to test on",
    licence="academic use",
)
