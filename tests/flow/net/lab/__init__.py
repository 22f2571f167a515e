"""A laboratory for hostile networks: a whole installation whose surroundings can be broken.

    places    network and mount namespaces, one for each computer; a firewall between them
    names     the DNS server that they ask
    certs     a CA, and certificates that are wrong in every way
    server    an HTTPS server that does what it is told, to whom it is told
    proxies   squid, and a proxy whose answers are written by the test
    disks     file systems that fill up or can only be read
    clocks    another time, for one computer
    site      the installation: publisher, source, Manager, relay, agents

Faults are made by these surroundings only; what runs inside is what is shipped. All of it is gone when the
test process ends, however that ends: namespaces and mounts live as long as the processes in them, and those
die with it.
"""
