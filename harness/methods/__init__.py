"""First stages: each way to find the first k documents has one file here and one in conf/method/."""
