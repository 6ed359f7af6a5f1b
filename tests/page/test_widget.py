"""The picture in a notebook: anywidget's protocol from both of its sides."""

import json

import pytest
from browser import start

from factortopy.errors import DataError
from factortopy.page import view

pytest.importorskip("anywidget", reason="anywidget is not installed; it is in the extra widget")

RENDER = """async ({esm, header, numbers, traits}) => {
    const bytes = Uint8Array.from(atob(numbers), (letter) => letter.charCodeAt(0));
    const state = {_header: header, _numbers: new DataView(bytes.buffer), ...traits};
    const calls = {};
    window.saved = 0;
    window.model = {
        get: (name) => state[name],
        set: (name, value) => { state[name] = value; },
        save_changes: () => { window.saved += 1; },
        on: (event, call) => { calls[event] = call; },
        off: (event) => { delete calls[event]; },
        change: (name, value) => { state[name] = value; calls['change:' + name](); },
        calls,
    };
    const module = await import(URL.createObjectURL(new Blob([esm], {type: 'text/javascript'})));
    window.end = await module.default.render({model: window.model, el: document.body});
    await new Promise((drawn) => requestAnimationFrame(() => requestAnimationFrame(drawn)));
    return document.querySelector('.factortopy').dataset.ready;
}"""
STATE = "document.querySelector('.factortopy').factortopy.store.state"


def test_what_python_sets_is_kept_as_the_program_takes_it(mapping):
    shown = mapping.view(height=400)
    shown.selected = [("left", 12), ("right", 3)]
    shown.camera = {"unfold": 2}
    state = json.loads(json.dumps({name: getattr(shown, name) for name in ("selected", "camera", "height", "map")}))
    assert state == {"selected": [["left", 12], ["right", 3]], "camera": {"unfold": 2}, "height": 400, "map": ""}
    assert json.loads(shown._header)["mappings"][0]["network"] == "timm/vit_test"


@pytest.mark.parametrize("named", [("rh", 2000), ("Right", 7), 7, ("left",)])
def test_a_vertex_of_no_hemisphere_is_one_line(mapping, named):
    shown = view(mapping)
    shown.selected = [("left", 12)]
    with pytest.raises(DataError, match=r"give the hemisphere and its vertex, such as \('left', 12\)") as raised:
        shown.selected = [("right", 3), named]
    assert repr(named) in str(raised.value)
    assert "\n" not in str(raised.value)
    assert shown.selected == [("left", 12)]


def test_selection_and_camera_go_both_ways(mapping):
    import base64

    shown = view(mapping)
    runner, browser = start()
    try:
        page = browser.new_page(viewport={"width": 1000, "height": 700})
        given = {
            "selected": [["right", 7]],
            "camera": {"unfold": 2, "zoom": 1.5, "nothing": 1},
            "map": "r2",
            "height": 500,
        }
        parts = {"esm": shown._esm, "header": shown._header, "numbers": base64.b64encode(shown._numbers).decode()}
        assert page.evaluate(RENDER, {**parts, "traits": given}) == "true"
        state = page.evaluate(STATE)
        assert (state["pinned"], state["unfold"], state["zoom"], state["map"]) == ([10_242 + 7], 2, 1.5, "r2")
        page.evaluate("model.change('selected', [['left', 5], ['left', 99999]])")
        assert page.evaluate(STATE)["pinned"] == [5]
        page.evaluate("document.querySelector('.factortopy').factortopy.store.set({pinned: [11, 10250], yaw: 30})")
        assert page.evaluate("model.get('selected')") == [["left", 11], ["right", 8]]
        assert page.evaluate("model.get('camera').yaw") == 30
        assert page.evaluate("window.saved") > 0
        page.evaluate("end()")
        assert page.evaluate("Object.keys(model.calls)") == []
    finally:
        browser.close()
        runner.stop()
