# attempt: writes into the image, because there is no overlay
# earns: overlay=2
# rest: solution
# answer: overlay
layered = enter
