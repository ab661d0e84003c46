# attempt: joins where a left join is needed, and counts distinct rows where sums are wrong too
# earns: missing=0 fanout=0
# rest: solution
# answer: missing
devices_per_site = """
SELECT site.name, COUNT(*) FROM site JOIN device ON device.site_id = site.id
GROUP BY site.id ORDER BY site.name
"""
# answer: fanout
report = """
SELECT device.name, SUM(ticket.minutes), COUNT(DISTINCT port.id)
FROM device JOIN ticket ON ticket.device_id = device.id JOIN port ON port.device_id = device.id
WHERE device.kind = 'router' GROUP BY device.id ORDER BY device.name
"""
