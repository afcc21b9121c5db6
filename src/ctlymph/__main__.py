"""``python -m ctlymph``: the same as the ``ctlymph`` command."""

from ctlymph.cli.main import main

main()
