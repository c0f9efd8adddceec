"""How the page looks: light and dark, on a wide window, a phone and on paper."""

from __future__ import annotations

from typing import Final

__all__ = ["STYLE"]

STYLE: Final = """
:root{color-scheme:light dark;--paper:#f6f7f9;--card:#fff;--ink:#1c2330;--soft:#5b6575;
--line:#e1e5eb;
--c0:#3566c8;--c1:#e08a2e;--c2:#2e9b78;--c3:#c9485b;--c4:#8460c4;--c5:#3aa3c2;--c6:#a8892c;
--c7:#9aa3b0}
@media (prefers-color-scheme:dark){:root{--paper:#12161c;--card:#1a2029;--ink:#e6eaf0;
--soft:#9aa5b5;
--line:#2c3542;--c0:#6d9bf0;--c1:#f0a85c;--c2:#55c29c;--c3:#ea7585;--c4:#ab8ee6;--c5:#66c5e0;
--c6:#d0b257;
--c7:#6d7787}}
*{box-sizing:border-box}
body{margin:0;background:var(--paper);color:var(--ink);font:15px/1.5 system-ui,sans-serif}
main{max-width:60rem;margin:0 auto;padding:1.5rem 1rem}
h1{font-size:1.5rem;margin:0}h2{font-size:1.05rem;margin:0 0 .75rem;overflow-wrap:anywhere}
header p,footer{color:var(--soft);font-size:.87rem;overflow-wrap:anywhere}
header p{margin:.25rem 0 1.25rem}
section,.cards div{background:var(--card);border:1px solid var(--line);border-radius:.6rem}
section{padding:1rem;margin:0 0 1rem}
.cards{display:grid;grid-template-columns:repeat(auto-fit,minmax(10rem,1fr));gap:.75rem;
margin:0 0 1rem}
.cards div{padding:.8rem 1rem}
dt{color:var(--soft);font-size:.87rem}dd{margin:0}
dd b{display:block;font-size:1.3rem;font-weight:600;font-variant-numeric:tabular-nums}
dd small{display:block;color:var(--soft)}
figure{margin:0}
.few{max-width:18rem}
.top,.axis{color:var(--soft);font-size:.8rem}
.axis{display:flex;justify-content:space-between;margin-top:.3rem}
svg.bars{display:block;width:100%;height:12rem;border-bottom:1px solid var(--line)}
svg.bars rect:hover{opacity:.75}
svg.bar{display:block;width:100%;height:.6rem;margin:.15rem 0}
.c0{fill:var(--c0);background:var(--c0)}.c1{fill:var(--c1);background:var(--c1)}
.c2{fill:var(--c2);background:var(--c2)}.c3{fill:var(--c3);background:var(--c3)}
.c4{fill:var(--c4);background:var(--c4)}.c5{fill:var(--c5);background:var(--c5)}
.c6{fill:var(--c6);background:var(--c6)}.c7{fill:var(--c7);background:var(--c7)}
.legend{list-style:none;display:flex;flex-wrap:wrap;gap:.2rem 1rem;padding:0;margin:.75rem 0;
font-size:.87rem}
.legend li{overflow-wrap:anywhere}
.legend i{display:inline-block;width:.75rem;height:.75rem;border-radius:.15rem;margin-right:.4rem}
.wide{overflow-x:auto}
table{border-collapse:collapse;width:100%;font-size:.87rem;font-variant-numeric:tabular-nums}
th,td{padding:.35rem .6rem .35rem 0;text-align:right;border-bottom:1px solid var(--line);
white-space:nowrap}
thead th{color:var(--soft);font-weight:500}
th.name,tbody th{text-align:left;font-weight:400;white-space:normal;overflow-wrap:anywhere;
min-width:7rem;max-width:22rem}
tbody tr:last-child>*{border-bottom:0}
td:has(svg){width:35%;min-width:4rem}
summary{cursor:pointer;color:var(--soft);font-size:.87rem;padding:.4rem 0}
section>p{color:var(--soft);font-size:.87rem;margin:.6rem 0 0}
@media (max-width:40rem){td:has(svg),tr>th:nth-child(2):empty{display:none}
main{padding:1rem .6rem}}
@media print{body{background:#fff}section{break-inside:avoid}}
"""
