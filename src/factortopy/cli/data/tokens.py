"""``factortopy tokens``: norms of a store's tokens, and outliers among them."""

import json
from pathlib import Path
from typing import Annotated

import typer

from factortopy.cli.options import Json, Quiet
from factortopy.cli.tables import print_table


def tokens(
    store: Annotated[Path, typer.Argument(help="Folder of tokens, as written by extract.")],
    figure: Annotated[Path | None, typer.Option(help="Write maps of norms and of outliers here (PNG and SVG).")] = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Show the norms of tokens by layer, and the share of outliers.

    Some networks keep something of the whole image in a few tokens of extreme norm; extract with
    --mask-outliers replaces them.
    """
    from factortopy.tokens import OUTLIER_RATIO, TokenStore, token_norms

    norms = token_norms(TokenStore.open(store), progress=not quiet)
    facts = [
        {
            "layer": layer,
            "median_norm": float(norms.median[index]),
            "largest_norm": float(norms.largest[index].max()),
            "outlier_share": float(norms.outliers[index].mean()),
        }
        for index, layer in enumerate(norms.layers)
    ]
    if as_json:
        typer.echo(json.dumps({"network": norms.network, "images": norms.images, "layers": facts}))
    else:
        columns = ("layer", "median norm", "largest norm", "outliers")
        rows = [
            (
                f"{fact['layer']}",
                f"{fact['median_norm']:.4g}",
                f"{fact['largest_norm']:.4g}",
                f"{fact['outlier_share']:.2%}",
            )
            for fact in facts
        ]
        note = f"Outliers have more than {OUTLIER_RATIO:g} times the median norm of their map."
        print_table(f"Tokens of {norms.images:,} images in {norms.network}", columns, rows, note=note)
    if figure is not None:
        from factortopy import plot

        plot.save(plot.token_norms(norms), figure)
