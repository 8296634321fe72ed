# SPDX-License-Identifier: Apache-2.0
"""The rows of what goes between two nodes."""
from rows import row


@row("links", "frames of 256 KiB over a link to another process on this machine, checked there")
def links(bench, row):
    """Bytes a second over TLS 1.3 in frames, with their checksums and deadlines, against SSL_write and SSL_read alone: what catching up
    could do if there were no disks. And the median time of a small frame there and another one back."""
    stage, size, n = bench.stage, bench.amount(2048, 512), bench.amount(30_000, 5_000)
    middle = bench.rates(row, {"links": lambda: stage.figures("links", "frames", size)["mb_s"],
                               "TLS alone": lambda: stage.figures("links", "tls", size)["mb_s"]}, "MB/s")
    row.check("links / TLS alone", middle["links"] / middle["TLS alone"], ">=", 0.7)
    bench.rates(row, {"there and back": lambda: stage.figures("links", "roundtrip", n)["p50_us"]}, "us")
