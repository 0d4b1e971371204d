BELTS={}
def table(*a,**k): return 0
