"""`make deploy-local`: the stack as it ships, built and deployed by SAM onto an emulated AWS, where it runs by itself.

The emulator is ministack, which runs the functions, the schedules, the queues and the HTTP API; EC2 and STS are moto's.
Nothing here proves a promise about safety: ministack and moto check no policy. It proves that the parts fit together.
"""
