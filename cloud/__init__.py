"""The cloud: the directory of twins, their checkpoints, the live view of all of them."""
