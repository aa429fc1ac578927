"""A child process and what it costs: CPU seconds (user and system), peak resident memory, the clock. Linux only."""

import os
import subprocess
import time

TICK = os.sysconf("SC_CLK_TCK")


class Child:
    """A process that was started, measured until it ends."""

    def __init__(self, command, environment, log, stdout=None):
        self.command = command
        self.log = log
        self.began = time.time()
        self.peak = 0
        # A file, not a pipe: nobody reads while the process runs, and a full pipe would stop it.
        with open(log, "ab") as errors:
            out = open(stdout, "wb") if stdout else errors
            self.process = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stdout=out, stderr=errors)
            if stdout:
                out.close()
        self.pid = self.process.pid
        self.ended = None

    def cpu(self):
        """CPU seconds so far, of all its threads."""
        if self.ended:
            return self.ended["cpu"]
        with open(f"/proc/{self.pid}/stat") as file:
            fields = file.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / TICK

    def look(self):
        """Notes the peak so far. The kernel's own mark for a child that has ended counts its parent's memory too."""
        try:
            with open(f"/proc/{self.pid}/status") as file:
                for line in file:
                    if line.startswith("VmHWM:"):
                        self.peak = max(self.peak, int(line.split()[1]))
        except (FileNotFoundError, ProcessLookupError):
            pass
        return self.peak

    def poll(self):
        """Whether it has ended."""
        if self.ended:
            return True
        self.look()
        pid, status, usage = os.wait4(self.pid, os.WNOHANG)
        if pid == 0:
            return False
        code = os.waitstatus_to_exitcode(status)
        self.process.returncode = code
        self.ended = {"code": code, "cpu": usage.ru_utime + usage.ru_stime, "wall": time.time() - self.began}
        return True

    def wait(self, allowed=(0,), timeout=7200):
        """Waits for its end and says what it cost."""
        while not self.poll():
            if time.time() - self.began > timeout:
                self.stop()
                raise SystemExit(f"{' '.join(self.command)}: not done after {timeout} s; see {self.log}")
            time.sleep(0.01)
        if self.ended["code"] not in allowed:
            raise SystemExit(f"{' '.join(self.command)}: exit code {self.ended['code']}; see {self.log}")
        return {**self.ended, "peak": self.peak}

    def stop(self):
        """Tells it to end, and waits."""
        if not self.poll():
            self.process.terminate()
            waited = time.time()
            while not self.poll():
                if time.time() - waited > 60:
                    self.process.kill()
                time.sleep(0.02)
        return self.ended
