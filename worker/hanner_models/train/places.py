"""Addresses: their levels, each of which is a mention of its own, and made-up addresses. No I/O.

See docs/explanation/guideline.md.
"""

import random
import re
from collections.abc import Sequence

_COUNTRIES = (
    "中华人民共和国|中国|日本|韩国|朝鲜|美国|加拿大|墨西哥|巴西|阿根廷|英国|法国|德国|意大利|西班牙|葡萄牙|荷兰|瑞士|奥地利|波兰|瑞典|挪威|芬兰|丹麦|"
    "希腊|俄罗斯|乌克兰|土耳其|以色列|埃及|南非|印度|泰国|越南|菲律宾|马来西亚|印度尼西亚|澳大利亚|新西兰"
)
_PROVINCES = (
    "北京|天津|上海|重庆|河北|山西|辽宁|吉林|黑龙江|江苏|浙江|安徽|福建|江西|山东|河南|湖北|湖南|广东|广西|海南|四川|贵州|云南|西藏|陕西|甘肃|青海|宁夏|新疆|"
    "内蒙古|台湾|香港|澳门|加州|得州"
)
_DIVISION = "自治区|自治州|自治县|特别行政区|地区|省|市|县|乡|镇|街道|邦"
_LEVEL = re.compile(f"[^省市县区乡镇]{{2,9}}?(?:{_DIVISION}|(?<![校园小社景军牧])区|(?<=[^省市县区乡镇]{{3}})州)")
"""A division with its kind, such as 杭州市 or 宣化区. 州 ends only longer names: 蒙大拿州, but not 杭州."""
_COUNTRY = re.compile(
    f"(?:{_COUNTRIES})(?!大陆|内地|本土|海|共和国|东方|支那|次大陆|半岛|利亚|尼西亚|联邦|王国|社会主义|民主)"
)
_PROVINCE = re.compile(f"(?:{_PROVINCES})(?![省市]|自治区|特别行政区|特区|[^省市县]*自治区)")
_ROAD = re.compile("[^馆站场院所厅、的]{1,8}(?:路|街|大道|巷|段|[0-9]号)")
_OTHER = re.compile(
    "馆|站|场|公园|大学|学院|铁路|公路|路$|军|半岛|盆地|高原|海峡|大厦|中心|宫|殿|院|所|局|堂|店|学|陵|处|警备|部|侧|的|、|革命|文化|厅|府|书|地区$|境内|"
    "别墅|新区$|农牧区|城墙|塔|桥|台|队|委|银行|车臣|丛林|市$"
)
"""What follows a division in the name of a building or an institution."""

ROADS = ("路", "街", "大道", "大街", "巷", "东路", "西路", "南路", "北路", "中路")
_BUILDINGS = ("大厦", "广场", "花园", "小区", "公寓", "中心", "家园", "苑", "城", "大楼")
_SYLLABLES = tuple(
    "文华建国中山人民解放和平新光明金龙凤凰学院科滨江湖河长安永兴福宁德仁义天府东风西城南海北京云翠柳桂梅松"
)
_ZONE = re.compile("开发|园|示范|经济|技术|产业|场|镇.*区")


def split_levels(name: str) -> list[int]:
    """Return the lengths of the levels of a place's name, in their order.

    Args:
        name: of a place, such as 浙江省杭州市文三路478号.
    """
    lengths: list[int] = []
    start = 0
    while length := _level(name[start:], first=start == 0):
        lengths.append(length)
        start += length
    return [*lengths, len(name) - start]


def _level(name: str, *, first: bool) -> int:
    """Return the length of the first level if others follow it, else 0."""
    patterns = (_COUNTRY, _PROVINCE, _LEVEL) if first else (_PROVINCE, _LEVEL)
    for pattern in patterns:
        found = pattern.match(name)
        rest = name[found.end() :] if found else ""
        follows = _LEVEL.match(rest) or (pattern is not _PROVINCE and (_ROAD.match(rest) or not _OTHER.search(rest)))
        if len(rest) > 1 and follows:
            return len(name) - len(rest)
    return 0


def make_addresses(divisions: Sequence[str], rng: random.Random, count: int = 3000) -> list[tuple[str, ...]]:
    """Return made-up addresses, each as its levels; none if no division of a known kind is given.

    Args:
        divisions: names of administrative divisions of all levels.
        rng: source of the choices.
        count: number of addresses.
    """
    levels = [
        [name for name in divisions if name.endswith(ends) and 2 < len(name) < 9 and not _ZONE.search(name)]
        for ends in (("省", "自治区"), ("市", "自治州"), ("区", "县"), ("镇", "街道", "乡"))
    ]
    addresses: list[tuple[str, ...]] = []
    if not any(levels):
        return addresses
    while len(addresses) < count:
        shares = zip(levels, (0.5, 0.75, 0.8, 0.25), strict=True)
        chosen = [rng.choice(names) for names, share in shares if names and rng.random() < share]
        if rng.random() < 0.15:
            chosen = [name.removesuffix("省").removesuffix("市") if len(name) > 2 else name for name in chosen]
        if rng.random() < 0.75:
            chosen.append(_road(rng))
        if len(chosen) > 1:
            addresses.append(tuple(chosen))
    return addresses


def _road(rng: random.Random) -> str:
    """Return a road, most with a number, some with the building and the room that follow."""
    road = "".join(rng.sample(_SYLLABLES, rng.choice((1, 2, 2, 2)))) + rng.choice(ROADS)
    if rng.random() < 0.15:
        road += rng.choice("一二三四五") + "段"
    if rng.random() < 0.8:
        road += f"{rng.randint(1, 1999)}号" + (rng.choice(("", "院", "楼")) if rng.random() < 0.3 else "")
    if rng.random() < 0.4:
        road += "".join(rng.sample(_SYLLABLES, 2)) + rng.choice(_BUILDINGS)
        if rng.random() < 0.6:
            number = rng.randint(101, 2908)
            room = (f"{rng.randint(1, 30)}楼", f"{rng.choice('ABC')}座", f"{number % 20 + 1}栋{number}室", f"{number}")
            road += rng.choice(room)
    return road
