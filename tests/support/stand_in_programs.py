"""The stand-in Jetson's programs beside trtexec: nvpmodel, jetson_clocks, tegrastats and sudo, in the documented formats.

Started as a program: ``stand_in_programs.py NAME CONFIG ARGUMENT...``.
"""

import json
import os
import sys
import time

HIGHEST = {"cpu": 1510400, "gpu": 624750000}


def nvpmodel(config, arguments):
    modes, status = config["modes"], config["status"]
    with open(status) as stream:
        current = stream.read().split()[0].partition(":")[2].lstrip("0") or "0"
    if arguments[:1] == ["-q"]:
        if config["jetpack"].startswith("4"):
            print("NVPM WARN: fan mode is not set!")
        print("NV Power Mode: %s\n%s" % (modes[current], current))
        return 0
    if arguments[:1] != ["-m"] or len(arguments) != 2 or arguments[1] not in modes:
        print("NVPM ERROR: invalid mode")
        return 1
    if not os.environ.get("STAND_IN_ROOT"):
        print("NVPM ERROR: Error opening %s: Permission denied\nNVPM ERROR: failed to set power mode!" % status)
        return 1
    if arguments[1] in config.get("needs_reboot", ()):
        print(
            "NVPM WARN: Reboot required for changing to this power mode: %s\n"
            "NVPM WARN: DO YOU WANT TO REBOOT NOW? enter YES/yes to confirm:" % arguments[1],
            flush=True,
        )
        if sys.stdin.readline().strip().lower() == "yes":
            raise SystemExit("the stand-in was rebooted")
        print("NVPM ERROR: optMask is 1, no request for power mode")
        return 1
    with open(status, "w") as stream:
        stream.write("pmode:%04d fmode:quiet\n" % int(arguments[1]))
    return 0


def jetson_clocks(config, arguments):
    if not os.environ.get("STAND_IN_ROOT"):
        print("Error: Run this script(%s) as a root user" % sys.argv[0])
        return 1
    clocks = {"cpu": 729600, "gpu": 306000000, "emc": 0}  # the lowest of each; and whether the memory's is overridden
    if os.path.exists(config["clocks"]):
        with open(config["clocks"]) as stream:
            clocks = json.load(stream)
    action, stored = [*arguments, "", ""][:2]
    if action == "--show":
        show_clocks(config, clocks)
    elif action == "--store":
        if os.path.exists(stored):
            print("File %s already exists. Can I overwrite it? Y/N:" % stored, flush=True)
            if sys.stdin.readline().strip() not in ("y", "Y"):
                print("Error: file %s already exists!" % stored)
                return 1
        write_clocks(stored, clocks)
        print("Storing system configuration in %s" % stored)
    elif action == "--restore":
        if not os.path.exists(stored):
            print("Error: %s file not found !" % stored)
            return 1
        print("Restoring system configuration from %s" % stored)
        with open(stored) as stream:
            write_clocks(config["clocks"], json.load(stream))
    else:
        assert not action, arguments
        gpu = clocks["gpu"] if config.get("gpu_clock_stays") else HIGHEST["gpu"]
        write_clocks(config["clocks"], {"cpu": HIGHEST["cpu"], "gpu": gpu, "emc": 1})
    return 0


def write_clocks(path, clocks):
    with open(path, "w") as stream:
        json.dump(clocks, stream)


def show_clocks(config, clocks):
    print("SOC family:%s  Machine:%s\nOnline CPUs: 0-4" % (config["soc"], config["board"]))
    cpu = "cpu0: Online=1 Governor=schedutil MinFreq=%d MaxFreq=%d CurrentFreq=1190400 IdleStates: WFI=1 c7=1 "
    print(cpu % (clocks["cpu"], HIGHEST["cpu"]))
    # A CPU that the power mode switches off keeps its range, whatever is locked (an AGX Orin of JetPack 5 in MODE_30W shows this).
    print("cpu5: Online=0 Governor=schedutil MinFreq=729600 MaxFreq=2201600 CurrentFreq=729600 IdleStates: WFI=0 c7=0 ")
    print("GPU MinFreq=%d MaxFreq=%d CurrentFreq=%d" % (clocks["gpu"], HIGHEST["gpu"], clocks["gpu"]))
    print("EMC MinFreq=204000000 MaxFreq=2133000000 CurrentFreq=2133000000 FreqOverride=%d" % clocks["emc"])


def tegrastats(config, arguments):
    line = config["tegrastats"]
    for _ in range(100000):
        print(line % {"stamp": time.strftime("%m-%d-%Y %H:%M:%S")}, flush=True)
        time.sleep(int(arguments[arguments.index("--interval") + 1]) / 1e3)
    return 0


def sudo(config, arguments):
    """Only ``-n``, and only what the agent's fixed list has."""
    assert arguments[0] == "-n", arguments
    os.environ["STAND_IN_ROOT"] = "1"
    os.execv(arguments[1], arguments[1:])


if __name__ == "__main__":
    name, path, *arguments = sys.argv[1:]
    with open(path) as stream:
        config = json.load(stream)
    programs = {"nvpmodel": nvpmodel, "jetson_clocks": jetson_clocks, "tegrastats": tegrastats, "sudo": sudo}
    sys.exit(programs[name](config, arguments))
