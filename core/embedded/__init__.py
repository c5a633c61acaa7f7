"""The ground `make run` and the tests stand on: embedded servers, their account, the supervisor."""
