/* Preloaded into Orthanc and dcmqrscp (shim.py):
 *  - what would listen on every interface listens on loopback (Orthanc 1.10 has no option for that);
 *  - with ORTHANC_SHIM_DECODE=1, civetweb decodes query strings (Debian links one that by default does not, and
 *    Orthanc no longer does it itself: PatientName=SMITH%5EJOHN then finds nothing, with status 200);
 *  - the server ends when its parent, ORTHANC_SHIM_PARENT, is gone, however that one ended. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dlfcn.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define MOST_OPTIONS 256

typedef int (*bind_fn)(int, const struct sockaddr *, socklen_t);
typedef void *(*start_fn)(const void *, void *, const char **);

int bind(int fd, const struct sockaddr *address, socklen_t length)
{
    bind_fn real = (bind_fn)dlsym(RTLD_NEXT, "bind");
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
    if (address->sa_family == AF_INET && length >= sizeof v4) {
        memcpy(&v4, address, sizeof v4);
        if (v4.sin_addr.s_addr == htonl(INADDR_ANY)) v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        return real(fd, (struct sockaddr *)&v4, sizeof v4);
    }
    if (address->sa_family == AF_INET6 && length >= sizeof v6) {
        memcpy(&v6, address, sizeof v6);
        if (IN6_IS_ADDR_UNSPECIFIED(&v6.sin6_addr)) v6.sin6_addr = in6addr_loopback;
        return real(fd, (struct sockaddr *)&v6, sizeof v6);
    }
    return real(fd, address, length);
}

void *mg_start(const void *callbacks, void *user_data, const char **options)
{
    start_fn real = (start_fn)dlsym(RTLD_NEXT, "mg_start");
    const char *more[MOST_OPTIONS + 3];
    const char *decode = getenv("ORTHANC_SHIM_DECODE");
    int n = 0;
    if (!decode || strcmp(decode, "1") != 0) return real(callbacks, user_data, options);
    for (; options[n] && n < MOST_OPTIONS; n++) more[n] = options[n];
    if (options[n]) abort();
    more[n++] = "decode_query_string";
    more[n++] = "yes";
    more[n] = NULL;
    return real(callbacks, user_data, more);
}

static void *end_with_parent(void *parent)
{
    while (getppid() == (pid_t)(intptr_t)parent) usleep(500000);
    _exit(1);
}

__attribute__((constructor)) static void watch_parent(void)
{
    const char *parent = getenv("ORTHANC_SHIM_PARENT");
    pthread_t thread;
    if (!parent) return;
    if (pthread_create(&thread, NULL, end_with_parent, (void *)(intptr_t)atol(parent)) != 0) abort();
    pthread_detach(thread);
}
