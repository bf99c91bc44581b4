"""The links of a graph: names that tell its nodes apart."""

from __future__ import annotations

from onnx import helper

from fastsam_onnx.quantize.links import name_nodes


def test_every_node_has_a_name_of_its_own_and_keeps_one_that_it_has():
    """Whatever is made of a node is named after it: two of one name would share their constants."""
    names = ["Conv_2", "", "", "Conv_1", "Conv_2", ""]
    graph = helper.make_graph([helper.make_node("Conv", ["x", "w"], ["y"], name=name) for name in names], "g", [], [])
    name_nodes(graph)
    found = [node.name for node in graph.node]
    assert len(set(found)) == 6
    assert "" not in found
    assert (found[0], found[3]) == ("Conv_2", "Conv_1")
