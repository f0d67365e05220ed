import random

import pytest

from hanner_models.data.datasets import Sentence, Span
from hanner_models.train.augment import NamePools, fill_template
from hanner_models.train.guideline import harmonise
from hanner_models.train.places import make_addresses, split_levels


def levels(name):
    parts, start = [], 0
    for length in split_levels(name):
        parts.append(name[start : start + length])
        start += length
    assert start == len(name)
    return "|".join(parts)


@pytest.mark.parametrize(
    "expected",
    [
        "浙江省|杭州市|文三路478号华星时代广场A座",
        "中华人民共和国|四川省|资阳市|安岳县",
        "西藏自治区|日喀则地区|江孜县|车仁乡|加堆村",
        "上海|浦东新区|惠南镇",
        "美国|宾夕法尼亚州|匹兹堡",
        "日本|东京",
        "台湾|桃园县|大溪镇|福安里",
    ],
)
def test_each_level_of_an_address_is_a_mention(expected):
    assert levels(expected.replace("|", "")) == expected


@pytest.mark.parametrize(
    "name",
    [
        "浙江省",
        "石家庄市",
        "杭州",
        "中国大陆",
        "印度尼西亚",
        "北京公园",
        "江西省军区",
        "广州军区",
        "苏州新区",
        "甘肃省博物馆",
        "中国历史博物馆",
        "朝鲜半岛",
        "中",
        "",
    ],
)
def test_other_names_stay_whole(name):
    assert levels(name) == name


def test_corpora_get_a_mention_per_level_and_keep_the_others():
    text = "马云住在浙江省杭州市，开了阿里"
    spans = (Span("PER", 0, 2), Span("LOC", 4, 10), Span("ORG", 13, 15))
    (changed,) = harmonise([Sentence(text, spans)])
    assert changed == Sentence(text, (spans[0], Span("LOC", 4, 7), Span("LOC", 7, 10), spans[2]))


DIVISIONS = ["浙江省", "杭州市", "西湖区", "安岳县", "后沙峪镇", "海门经济技术开发区"]


def test_made_up_addresses_have_several_levels_without_zones():
    addresses = make_addresses(DIVISIONS, random.Random(1), count=200)
    assert len(addresses) == 200
    assert all(len(address) > 1 and all(address) for address in addresses)
    assert not any("开发区" in level for address in addresses for level in address)
    assert any(address[-1].endswith("号") for address in addresses)


@pytest.mark.parametrize("divisions", [[], ["杭州"]])
def test_without_divisions_there_are_no_addresses(divisions):
    assert make_addresses(divisions, random.Random(1), count=5) == []


def test_one_division_and_roads_make_addresses():
    assert len(make_addresses(["浙江省"], random.Random(1), count=5)) == 5


def test_an_address_slot_marks_each_level():
    names = NamePools({"PER": [["马云"]]}, [("浙江省", "杭州市", "文三路478号")])
    filled = fill_template("收货地址：{ADDRESS}，{PER}收", names, random.Random(1))
    assert filled.text == "收货地址：浙江省杭州市文三路478号，马云收"
    marked = [(span.type, filled.text[span.start : span.end]) for span in filled.spans]
    assert marked == [("LOC", "浙江省"), ("LOC", "杭州市"), ("LOC", "文三路478号"), ("PER", "马云")]


def test_a_recipe_without_places_leaves_the_slot_empty():
    assert fill_template("寄到{ADDRESS}", NamePools({}), random.Random(1)) == Sentence("寄到", ())
