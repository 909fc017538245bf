# Writes filters.json: what lm_eval 0.4.13 extracts from some responses, and whether it counts them correct.
# usage: make_filters.py filters.json
import json, re, sys
from lm_eval.filters.extraction import RegexFilter
from lm_eval.api.metrics import exact_match_hf_evaluate
strict=RegexFilter(r"#### (\-?[0-9\.\,]+)"); flex=RegexFilter(r"(-?[$0-9.,]{2,})|(-?[0-9]+)",group_select=-1)
cases=[(" 3 + 4 = 7\n#### 7","#### 7"),("The answer is 7.","#### 7"),("#### 1,234","x\n#### 1234"),("#### $50","#### 50"),("costs $50.","#### 50"),("#### -3","#### -3"),("no number","#### 1"),("#### 12.","#### 12"),
("#### 5 #### 6","#### 6"),("####7","#### 7"),("#### 3.50","#### 3.5"),("a 1 b 22 c","#### 22"),("a 1 b 22 c","#### 1"),("-","#### 1"),("..","#### 1"),("$","#### 1"),("so 10,","#### 10"),("#### ,","#### 1"),("x = -4","#### -4"),("2 - 4","#### -4"),("5.0","#### 5"),("#### 7 apples","#### 7"),
("#### 1.000","#### 1000"),(" 12\n\n","a\n#### 12"),("","#### 0"),("total: 1,000,000 coins","#### 1000000"),("#### \u0667","#### 7"),("9%","#### 9"),("3/4","#### 4"),("#### 0","#### 0"),("#### 00","#### 0"),("$1.50 each","#### 1.50")]
out=[]
for r,t in cases:
    s=strict.apply([[r]],[{}]); f=flex.apply([[r]],[{}]); s=list(s)[0][0]; f=list(f)[0][0]
    em=lambda p: bool(exact_match_hf_evaluate([p],[t],regexes_to_ignore=[",","\\$","(?s).*#### ","\\.$"],ignore_case=True)["exact_match"])
    out.append({"response":r,"answer":t,"strict-match":s,"flexible-extract":f,"strict_correct":em(s),"flexible_correct":em(f)})
json.dump(out,open(sys.argv[1],"w"),indent=1,ensure_ascii=False)
