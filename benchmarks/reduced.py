"""What a reduced store costs in R^2: the same planted subject fitted from whole tokens and from their components.

    python benchmarks/reduced.py --work FOLDER                                  # SqueezeNet, minutes on two cores
    python benchmarks/reduced.py --work FOLDER --network clip-b16-openai --images 2300

Tokens are a real network's, of views of photographs; the subject is SIMULATED from the whole ones, with one noise
ceiling. The store of components is extracted anew, as a user does. The last line is one JSON object: R^2 of test images
and of left-out validation images from both, their difference for the test images with limits over these (in pairs; of
the sample photographs' views many are of one scene, which the limits do not know: better with FACTORTOPY_SHARED_DATA),
and bytes an image of both.
"""

import argparse
import json
from pathlib import Path

import numpy as np

from factortopy.analysis import draw_roi_r2, percentiles
from factortopy.fitting import fit_settings, split_examples
from factortopy.networks import load_network
from factortopy.tokens import TokenStore, extract
from factortopy.workflow import fit_model
from laboratory import Laboratory, used_views

CHANNELS = 32


def bytes_an_image(store: TokenStore) -> float:
    """On disk, of all files."""
    return sum(file.stat().st_size for file in store.path.rglob("*") if file.is_file()) / len(store)


def main() -> None:
    """Extract, fit twice and print a JSON line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, help="folder of tokens")
    parser.add_argument("--network", default="squeezenet-1.1")
    parser.add_argument("--images", type=int, default=1_000)
    parser.add_argument("--components", type=int, default=128)
    parser.add_argument("--ceiling", type=float, default=0.2)
    parser.add_argument("--voxels", type=int, default=640)
    options = parser.parse_args()
    laboratory = Laboratory(None, options.images, options.work, None, options.voxels)
    whole = laboratory.tokens(options.network)
    subject = laboratory.subject(options.ceiling, CHANNELS, "smooth", options.network)
    split = laboratory.split(options.images, options.network)
    views = used_views(laboratory.images, options.images)
    folder = options.work / f"reduced-{options.components}-{options.network.replace('/', '_')}-{len(views)}"
    reduced = extract(load_network(options.network), views, folder, whole.grid, components=options.components)
    responses = split_examples(whole, subject, split)["test"].all_responses().numpy()
    everywhere = {"all": np.ones(len(subject.voxels), bool)}
    found, drawn = {}, {}
    for name, tokens in (("whole", whole), ("reduced", reduced)):
        fit = fit_model(tokens, subject, fit_settings(), split=split, bootstrap=0, yardstick=False)
        found |= {f"r2_{name}": float(fit.mapping.dataset["r2"].mean()), f"bytes_{name}": bytes_an_image(tokens)}
        found[f"r2_validation_{name}"] = fit.history.solved_r2
        drawn[name] = draw_roi_r2(responses, fit.predictions, split.test, everywhere)
    difference = found["r2_reduced"] - found["r2_whole"]
    low, high = percentiles(drawn["reduced"] - drawn["whole"])[:, 0].tolist()
    compared = {"r2_difference": difference, "r2_difference_low": low, "r2_difference_high": high}
    facts = {"network": options.network, "images": options.images, "components": options.components, "simulated": True}
    print(json.dumps(facts | found | compared))


if __name__ == "__main__":
    main()
