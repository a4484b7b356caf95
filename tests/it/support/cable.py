"""A cable between two network namespaces, each end a TUN device: it loses, delays and reorders.

cable.py FAR-NAMESPACE NEAR-ADDRESS FAR-ADDRESS, started in the near one. It says `ready`, and then
takes lines: `loss SHARE` (of packets), `cut` (all are lost from then on). It answers each with the
same line. It needs no module of the kernel's beside TUN, as netem(8) would.
"""

import ctypes
import fcntl
import heapq
import os
import random
import select
import struct
import subprocess
import sys
import time

TUNSETIFF, IFF_TUN, IFF_NO_PI, CLONE_NEWNET = 0x400454CA, 1, 0x1000, 0x40000000
# Large packets: there are fewer of them, and the machine is spared. The delay is that of one way.
MTU, DELAY, LATE, LATE_SHARE = 9000, 0.0005, 0.002, 0.1


def end(address):
    device = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(device, TUNSETIFF, struct.pack("16sH", b"cable", IFF_TUN | IFF_NO_PI))
    for command in (f"addr add {address}/24 dev cable", f"link set cable mtu {MTU} up"):
        subprocess.run(["ip", *command.split()], check=True)
    return device


def main(far_namespace, near_address, far_address):
    chance = random.Random(1)
    near = end(near_address)
    with open(far_namespace) as namespace:
        if ctypes.CDLL(None, use_errno=True).setns(namespace.fileno(), CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "setns")
    far = end(far_address)
    across = {near: far, far: near}
    print("ready", flush=True)

    said, loss, number, under_way = "", 0.0, 0, []
    while True:
        wait = max(0, under_way[0][0] - time.monotonic()) if under_way else None
        readable, _, _ = select.select([near, far, 0], [], [], wait)
        for device in across.keys() & set(readable):
            for _ in range(64):
                try:
                    packet = os.read(device, 65536)
                except BlockingIOError:
                    break
                if chance.random() < loss:
                    continue
                late = LATE if chance.random() < LATE_SHARE else 0
                number += 1
                due = time.monotonic() + DELAY + late
                heapq.heappush(under_way, (due, number, across[device], packet))
        # Behind the packets: those that were sent before a line are lost as it was then.
        if 0 in readable:
            part = os.read(0, 64)
            if not part:
                return
            *lines, said = (said + part.decode()).split("\n")
            for line in lines:
                word, _, share = line.partition(" ")
                loss = 1.0 if word == "cut" else float(share)
                print(line, flush=True)
        while under_way and under_way[0][0] <= time.monotonic():
            _, _, device, packet = heapq.heappop(under_way)
            try:
                os.write(device, packet)
            except BlockingIOError:
                pass  # Its queue is full: one more that is lost.


main(*sys.argv[1:])
