package broker

type errand struct{ kept []Request }
