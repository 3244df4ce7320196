"""The packaged `quantvsr` command starts here; with --child it is the app's engine."""

import multiprocessing
import sys

if __name__ == "__main__":
    # torch may start worker processes; in a packaged program they come through here.
    multiprocessing.freeze_support()
    if sys.argv[1:2] == ["--child"]:
        from quantvsr import child

        sys.exit(child.main(sys.argv[2:]))
    from quantvsr import cli

    sys.exit(cli.main())
