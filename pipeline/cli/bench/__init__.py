"""`impasto bench`: measure how fast this machine is.

`measure` times the engine without pictures or an outbox; `command` prints the measurements.

- *evaluation*: one evaluation of the objective and its gradient, the unit in which time is planned.
- *peak*: the speed of a large matrix product in the same precision, which no evaluation can exceed.
"""
