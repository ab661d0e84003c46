# attempt: splits rows and not sites, and takes 0.5 for every threshold
# earns: split=2 threshold=0
# rest: solution
# answer: split
def split(table, share=0.25, seed=0):
    test = table.sample(frac=share, random_state=seed)
    return table.drop(test.index), test
# answer: threshold
def best_threshold(truth, chance, miss, alarm):
    return 0.5
