# attempt: takes a /23 for one value of the third byte, and sees an overlap only where it is obvious
# earns: vlsm=3 find=1 mend=3
# rest: solution
# answer: vlsm
plan = {
    "Labs": "10.20.8.0/23",
    "Wi-Fi": "10.20.9.0/24",
    "Office": "10.20.10.0/25",
    "Voice": "10.20.10.128/26",
    "Servers": "10.20.10.192/27",
    "Uplink": "10.20.10.224/30",
}
# answer: find
overlaps = [("Lab-1", "Lab-2")]
# answer: mend
%%writefile mended.csv
name,prefix,gateway,hosts
Office,10.61.0.0/25,10.61.0.1,90
Voice,10.61.0.128/26,10.61.0.129,50
Printers,10.61.0.192/27,10.61.0.193,25
Cameras,10.61.0.208/28,10.61.0.209,12
Lab-1,10.61.1.0/24,10.61.1.1,200
Lab-2,10.61.3.0/26,10.61.3.1,40
Library,10.61.2.0/25,10.61.2.1,100
Wi-Fi,10.61.2.128/25,10.61.2.129,120
