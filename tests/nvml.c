// A stand-in for NVIDIA's libnvidia-ml.so.1, as much of it as pynvml is asked for.
// NVML_CASE chooses what kind of driver it plays.
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SUCCESS = 0, NOT_SUPPORTED = 3, NOT_FOUND = 6, SMALL = 7, MISMATCH = 18 };
typedef struct { unsigned long long total, free, used; } memory_t;
typedef struct { unsigned pid, pad; unsigned long long used; unsigned gi, ci; } process_t;

static int is(const char *name) { return strcmp(getenv("NVML_CASE"), name) == 0; }

int nvmlInitWithFlags(unsigned flags) {
    if (is("hangs")) for (;;) sleep(60);
    if (is("crashes")) abort();
    return is("fails") ? MISMATCH : SUCCESS;
}
const char *nvmlErrorString(int code) { return "Driver/library version mismatch"; }
int nvmlSystemGetDriverVersion(char *text, unsigned size) { strcpy(text, "570.133.20"); return 0; }
int nvmlSystemGetCudaDriverVersion(int *version) { *version = 12080; return 0; }
int nvmlDeviceGetCount_v2(unsigned *count) { *count = is("two") ? 2 : 1; return 0; }
int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **handle) {
    *handle = (void *)(size_t)(index + 1);
    return 0;
}
int nvmlDeviceGetName(void *handle, char *name, unsigned size) {
    if (is("unified")) strcpy(name, "NVIDIA GB10");
    else if (is("mig")) strcpy(name, (size_t)handle > 10 ? "NVIDIA A100-SXM4-40GB MIG 1g.5gb"
                                                         : "NVIDIA A100-SXM4-40GB");
    else strcpy(name, is("laptop") ? "NVIDIA GeForce RTX 4060 Laptop GPU"
                                   : "NVIDIA GeForce RTX 3090");
    return 0;
}
int nvmlDeviceGetUUID(void *handle, char *uuid, unsigned size) {
    strcpy(uuid, (size_t)handle % 2 ? "GPU-aaaa" : "GPU-bbbb");
    return 0;
}
int nvmlDeviceGetMemoryInfo(void *handle, memory_t *memory) {
    if (is("unified") || is("refuses")) return NOT_SUPPORTED;
    unsigned long long gib = 1ull << 30;
    memory->total = (is("mig") ? 5 : is("laptop") ? 8 : 24) * gib;
    memory->free = memory->total - gib;
    memory->used = gib;
    return 0;
}
int nvmlDeviceGetCudaComputeCapability(void *handle, int *major, int *minor) {
    *major = 8;
    *minor = is("mig") ? 0 : 6;
    return 0;
}
int nvmlDeviceGetComputeRunningProcesses_v3(void *handle, unsigned *count, process_t *list) {
    if (!is("two")) { *count = 0; return 0; }
    if (!list) { *count = 1; return SMALL; }
    *count = 1;
    list[0] = (process_t){.pid = 7, .used = 1ull << 30};
    return 0;
}
int nvmlDeviceGetMaxClockInfo(void *handle, int kind, unsigned *clock) {
    if (is("unified") || is("laptop")) return NOT_SUPPORTED;
    *clock = 9751;
    return 0;
}
int nvmlDeviceGetMemoryBusWidth(void *handle, unsigned *width) { *width = 384; return 0; }
int nvmlDeviceGetMigMode(void *handle, unsigned *now, unsigned *later) {
    if (!is("mig")) return NOT_SUPPORTED;
    *now = *later = 1;
    return 0;
}
int nvmlDeviceGetMaxMigDeviceCount(void *handle, unsigned *count) { *count = 7; return 0; }
int nvmlDeviceGetMigDeviceHandleByIndex(void *handle, unsigned index, void **part) {
    if (index > 1) return NOT_FOUND;
    *part = (void *)(size_t)(11 + index);
    return 0;
}
